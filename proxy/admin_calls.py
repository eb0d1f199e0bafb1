"""The calls of the admin address: health, metrics, configuration, reload."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import orjson

from ..ext.http1 import RequestHead, origin_form
from .config.dump import dump
from .config.schema_listener import Admin as AdminConfig
from .gateway import Gateway
from .observe.metrics import CONTENT_TYPE
from .operation import Operate, arguments_of, operation_of
from .reload import ReloadError

if TYPE_CHECKING:
    from .exchange.fields import Pair
    from .reload import Reloader

MAX_RELOADS = 8
_OPEN = frozenset({b"/livez", b"/readyz", b"/metrics"})
_READ, _CHANGE = (b"GET", b"HEAD"), (b"POST",)


class AdminAnswer(NamedTuple):
    """An answer, whole."""

    status: int
    body: bytes
    media_type: str = "application/json"
    fields: tuple[Pair, ...] = ()


Call = Callable[[], Awaitable[AdminAnswer]]


class AdminCalls:
    """Health and metrics for everybody who reaches the address; all else needs the token and a known Host.

    The Host check holds on loopback, too: a page in a browser on the same machine must not get through by a name that
    it made resolve to 127.0.0.1.
    """

    def __init__(self, gateway: Gateway, reloader: Reloader | None, config: AdminConfig) -> None:
        self._gateway = gateway
        self._reloader = reloader
        self._config = config
        self._reloads: set[asyncio.Task[AdminAnswer]] = set()
        self._calls: dict[bytes, tuple[tuple[bytes, ...], Call]] = {
            b"/livez": (_READ, self._livez),
            b"/readyz": (_READ, self._readyz),
            b"/metrics": (_READ, self._metrics),
            b"/config": (_READ, self._show_config),
            b"/plugins": (_READ, self._plugins),
            b"/reload": (_CHANGE, self._reload),
        }

    async def answer(self, head: RequestHead) -> AdminAnswer:
        """Return the answer to a request. Its body, if it has one, is not looked at."""
        path, _, query = origin_form(head.method, head.target).partition(b"?")
        refusal = None if path in _OPEN else self._refusal(head)
        if refusal is not None:
            return refusal
        found = self._calls.get(path) or self._operation(path.decode("latin-1"), query.decode("latin-1"))
        if found is None:
            return AdminAnswer(404, b"404: Not Found", "text/plain; charset=utf-8")
        methods, call = found
        if head.method not in methods:
            allow = ((b"Allow", b",".join(methods)),)
            return AdminAnswer(405, b"405: Method Not Allowed", "text/plain; charset=utf-8", allow)
        return await self._watched(call)

    async def _watched(self, call: Call) -> AdminAnswer:
        try:
            return await call()
        except Exception as error:
            self._gateway.observer.crashed(error)
            return _problem(500, "the gateway failed, its log says how")

    def _refusal(self, head: RequestHead) -> AdminAnswer | None:
        if not self._is_known_host(head.host):
            return _problem(421, "this host name is not served here: add it under `admin.hosts`")
        if self._config.token is None:
            return _problem(403, "no token is configured: set `admin.token` to use this call")
        if not self._has_token(head):
            detail = "expected `Authorization: Bearer` with the token of `admin.token`"
            return _problem(401, detail, (b"WWW-Authenticate", b"Bearer"))
        return None

    def _is_known_host(self, host: str) -> bool:
        name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        known = {"localhost", "127.0.0.1", "::1", self._config.address.host, *self._config.hosts}
        return name.lower() in known

    def _has_token(self, head: RequestHead) -> bool:
        given = next((value for name, value in head.fields if name.lower() == b"authorization"), b"")
        scheme, _, credential = given.partition(b" ")
        if self._config.token is None or scheme.lower() != b"bearer":
            return False
        return hmac.compare_digest(credential.strip(), self._config.token.reveal().encode())

    def _operation(self, path: str, query: str) -> tuple[tuple[bytes, ...], Call] | None:
        """Return the call that a plugin answers, if one does."""
        found = operation_of(self._gateway.snapshot.instances, path)
        return None if found is None else (_CHANGE, partial(_operated, *found, query))

    async def _livez(self) -> AdminAnswer:
        return AdminAnswer(200, b"alive\n", "text/plain; charset=utf-8")

    async def _readyz(self) -> AdminAnswer:
        state = {
            "is_ready": not self._gateway.is_draining,
            "config_version": self._gateway.snapshot.version,
            "config_error": self._reloader.last_error if self._reloader else None,
        }
        return AdminAnswer(503 if self._gateway.is_draining else 200, orjson.dumps(state))

    async def _metrics(self) -> AdminAnswer:
        return AdminAnswer(200, self._gateway.observer.registry.render(), CONTENT_TYPE)

    async def _show_config(self) -> AdminAnswer:
        snapshot = self._gateway.snapshot
        return AdminAnswer(200, orjson.dumps({"version": snapshot.version, "config": dump(snapshot.config)}))

    async def _plugins(self) -> AdminAnswer:
        plugins = self._gateway.snapshot.config.plugins
        return AdminAnswer(200, orjson.dumps({name: settings.use for name, settings in plugins.items()}))

    async def _reload(self) -> AdminAnswer:
        if self._reloader is None:
            return _problem(409, "the gateway runs without a configuration file")
        if len(self._reloads) >= MAX_RELOADS:
            return _problem(503, f"expected at most {MAX_RELOADS} reloads at once: wait for them")
        # A task of its own: a reload that has begun goes on where its caller leaves.
        task = asyncio.ensure_future(self._watched(partial(_reload_with, self._reloader)))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
        return await asyncio.shield(task)


async def _reload_with(reloader: Reloader) -> AdminAnswer:
    try:
        return AdminAnswer(200, orjson.dumps({"version": await reloader.reload_all()}))
    except ReloadError as error:
        return _problem(422, str(error))


async def _operated(operate: Operate, action: str, query: str) -> AdminAnswer:
    try:
        return AdminAnswer(200, orjson.dumps(operate(action, arguments_of(query))))
    except ValueError as error:
        return _problem(422, str(error))


def _problem(status: int, detail: str, *fields: Pair) -> AdminAnswer:
    body = orjson.dumps({"status": status, "detail": detail})
    return AdminAnswer(status, body, "application/problem+json", fields)
