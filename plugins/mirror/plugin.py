"""The plugin: which requests are copied, and what comes of the copies."""

from __future__ import annotations

import asyncio

from ...proxy.aside import AsideRequest, AsideTarget, copied, kept_body
from ...proxy.body_scan import scan
from ...proxy.buckets import num_buckets, place_of
from ...proxy.config.header_edits import CREDENTIALS
from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.observe.metrics import Counter, Gauge, Histogram, Registry
from ...proxy.verdicts import Miss, Outcome
from .config import MirrorConfig, settings_of
from .copies import Copies, Copy
from .seen import Seen

_CREDENTIALS = frozenset(name.encode() for name in CREDENTIALS)
_NOTHING: frozenset[bytes] = frozenset()


class Mirror:
    """Send copies of requests to another target once their exchanges have ended; its answers are read and dropped.

    A copy passes no stage: nothing is reserved or counted for it but the plugin's own metrics.
    """

    Config = MirrorConfig

    def __init__(self, config: MirrorConfig) -> None:
        self._config = config
        self._name = self._salt = "mirror"
        self._num_buckets = num_buckets(config.share)
        self._without = _NOTHING if config.credentials else _CREDENTIALS
        self._target = AsideTarget(settings_of(self._name, config))
        self._copies = Copies(self._send, config.max_parallel, config.max_held)
        self._requests = Counter("headgate_mirror_requests", "Copies by what became of them.", ("plugin", "outcome"))
        self._compared = Counter(
            "headgate_mirror_compared", "Answers compared with those of copies.", ("plugin", "part", "result")
        )
        self._durations = Histogram("headgate_mirror_duration_seconds", "Copies that were answered.", ("plugin",))

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name."""
        self._name = setup.name
        self._salt = self._config.salt or setup.name

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Register what is counted."""
        self._requests = registry.register(self._requests)
        self._compared = registry.register(self._compared)
        self._durations = registry.register(self._durations)
        held = registry.register(Gauge("headgate_mirror_held_bytes", "Bytes of copies not done.", ("plugin",)))
        held.set(lambda: self._copies.held_bytes, self._name)

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Miss | None:
        """Ask to see the answer, where its body is to be compared."""
        if self._config.compare != "body" or not self._is_drawn(exchange):
            return None
        seen = Seen()
        exchange.state.setdefault(Mirror, {})[self._name] = seen
        return Miss(seen, None)

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        """Copy a request that a target was asked for."""
        if not outcome.attempts or exchange.request.is_upgrade or not self._is_drawn(exchange):
            return
        body = kept_body(exchange.request.body)
        if body is None:
            self._requests.add(self._name, "body_not_kept")
        elif len(body) > self._config.max_body:
            self._requests.add(self._name, "body_too_large")
        elif not self._copies.offer(self._copy(exchange, outcome, body)):
            self._requests.add(self._name, "no_room")

    def close(self) -> None:
        """End with the gateway, or the configuration."""
        self._copies.close()
        self._target.close()

    def _is_drawn(self, exchange: Exchange) -> bool:
        if not self._num_buckets:
            return False
        key = self._config.by.key_of(exchange)
        return key is not None and place_of(self._salt, key).bucket < self._num_buckets

    def _copy(self, exchange: Exchange, outcome: Outcome, body: bytes) -> Copy:
        seen: Seen | None = exchange.state.get(Mirror, {}).get(self._name)
        is_whole = outcome.error is None and not outcome.is_fallback and not outcome.is_client_gone
        request: AsideRequest = copied(exchange, self._asking(exchange.model, body), self._without)
        return Copy(
            request,
            exchange.now() + self._config.timeout,
            outcome.status if is_whole and self._config.compare != "nothing" else None,
            seen.digest if is_whole and seen is not None else None,
        )

    def _asking(self, model: str | None, body: bytes) -> bytes:
        """Return the body, asking for the model that the mirror knows."""
        if model is None or not body:
            return body
        try:
            return scan(body).with_model(self._config.to.model or model)
        except GatewayError:  # it is not read for a model on this route
            return body

    async def _send(self, copy: Copy) -> None:
        began = asyncio.get_running_loop().time()
        try:
            answer = await self._target.ask(copy.request, copy.deadline, self._config.max_answer)
        except GatewayError as error:
            self._requests.add(self._name, error.kind.name)
            return
        self._requests.add(self._name, "answered")
        self._durations.observe(asyncio.get_running_loop().time() - began, self._name)
        if copy.status is not None:
            self._compare("status", copy.status == answer.status)
        if copy.digest is not None:
            self._compare("body", copy.digest == answer.digest)

    def _compare(self, part: str, is_same: bool) -> None:
        self._compared.add(self._name, part, "same" if is_same else "different")
