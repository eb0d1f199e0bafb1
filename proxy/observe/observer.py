"""Sees every exchange end: counts it, logs it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from ...ext.tally import Step, Tally
from ..errors import GatewayError
from ..exchange.exchange import Exchange
from ..verdicts import Outcome
from .access_log import AccessLog
from .ending import (
    COMPLETION_TOKENS,
    DURATION_S,
    FIRST_BYTE_S,
    PROMPT_TOKENS,
    RECEIVED_BYTES,
    SENT_BYTES,
    Ending,
    facts_of,
    numbers_of,
)
from .gen_ai import GenAiMetrics
from .metrics import Counter, Gauge, Histogram, Registry

MAX_TALLIES = 4096

_log = logging.getLogger("headgate")


class Observer:
    """The gateway's own metrics and its access log. Labels are names of the configuration, never of a client."""

    def __init__(self, registry: Registry, access_log: AccessLog) -> None:
        self.registry = registry
        self.access_log = access_log
        make = registry.register
        self._requests = make(Counter("headgate_requests", "Exchanges ended.", ("route", "status")))
        self._served = make(Counter("headgate_served", "Exchanges, by who served them.", ("way",)))
        self._refused = make(Counter("headgate_refused", "Connections ended before a request.", ("error",)))
        self._errors = make(Counter("headgate_errors", "Exchanges ended by an error.", ("route", "error", "source")))
        self._attempts = make(Counter("headgate_attempts", "Attempts at targets.", ("target", "outcome")))
        self._fallback = make(Counter("headgate_fallback", "Answers given by a fallback.", ("from", "to", "reason")))
        self._cache = make(Counter("headgate_cache_ops", "Answers of the cache stage.", ("route", "result")))
        self._tokens = make(Counter("headgate_tokens", "Tokens as upstreams report them.", ("target", "type")))
        self._bytes = make(Counter("headgate_bytes", "Body bytes.", ("route", "direction")))
        self._gone = make(Counter("headgate_client_gone", "Exchanges whose client left.", ("route",)))
        self._duration = make(Histogram("headgate_request_duration_seconds", "Head to end.", ("route",)))
        self._first_byte = make(Histogram("headgate_time_to_first_byte_seconds", "Head to answer.", ("route",)))
        self._crashes = make(Counter("headgate_crashes", "Exchanges ended by a fault of the gateway itself."))
        self.num_inflight = 0
        inflight = make(Gauge("headgate_inflight", "Exchanges under way."))
        inflight.set(lambda: float(self.num_inflight))
        self._version = make(Gauge("headgate_config_version", "Version of the configuration in force.", (), max))
        self._version.set(1)
        lost = make(Gauge("headgate_access_log_lost_lines", "Lines of the access log that could not be written."))
        lost.set(lambda: float(access_log.num_lost))
        self._gen_ai = GenAiMetrics(registry)
        self._tallies: dict[tuple[object, ...], Tally] = {}  # by the facts of endings

    def ended(self, exchange: Exchange, outcome: Outcome, way: str = "reference") -> None:
        """Count and log one exchange. `way` says who served it: `inline`, `taken_over` or `reference`."""
        facts = facts_of(exchange, outcome, way)
        tally = self._tallies.get(facts)
        if tally is None:
            tally = self._new_tally(facts)
        tally.add(numbers_of(outcome))
        if outcome.is_fallback:
            self._count_fallback(outcome)
        self.access_log.write(exchange, outcome)

    def _new_tally(self, facts: tuple[Any, ...]) -> Tally:
        if len(self._tallies) >= MAX_TALLIES:
            self._tallies.clear()
        tally = self._tallies[facts] = Tally(tuple(self._steps(Ending(*facts))))
        return tally

    def _steps(self, ending: Ending) -> Iterator[Step]:
        """Yield what counts an exchange that ended so."""
        route = ending.route or "none"
        yield self._served.step(ending.way)
        yield self._requests.step(route, str(ending.status))
        yield self._duration.step(DURATION_S, route)
        if ending.has_first_byte:
            yield self._first_byte.step(FIRST_BYTE_S, route)
        yield self._bytes.step(route, "received", place=RECEIVED_BYTES)
        yield self._bytes.step(route, "sent", place=SENT_BYTES)
        for target, how in ending.ends:
            yield self._attempts.step(target, how)
        if ending.target is not None and ending.has_prompt_tokens:
            yield self._tokens.step(ending.target, "input", place=PROMPT_TOKENS)
        if ending.target is not None and ending.has_completion_tokens:
            yield self._tokens.step(ending.target, "output", place=COMPLETION_TOKENS)
        if ending.cache is not None:
            yield self._cache.step(route, ending.cache)
        if ending.is_client_gone:
            yield self._gone.step(route)
        if ending.error is not None:
            yield self._errors.step(route, ending.error, GatewayError(ending.error).kind.source)
        yield from self._gen_ai.steps(ending)

    def _count_fallback(self, outcome: Outcome) -> None:
        target = outcome.target
        if target is None or outcome.preferred is None:
            return
        # Its own failures, of before or after it answered, led nobody to it. Without one of another target in this
        # exchange that was moved behind for those of other exchanges.
        reasons = [_short(reason) for name, reason in outcome.failures if name != target]
        self._fallback.add(outcome.preferred, target, reasons[-1] if reasons else "breaker_open")

    def refused(self, peer: str, error: GatewayError) -> None:
        """Count and log what never became a request."""
        self._refused.add(error.kind.name)
        self.access_log.write_refused(peer, error.kind.name, error.kind.status, error.detail)

    def crashed(self, error: Exception) -> None:
        """Log a fault of the gateway itself."""
        self._crashes.add()
        _log.error("an exchange failed: %r", error, exc_info=error)

    def reloaded(self, version: int) -> None:
        """A new configuration is in force."""
        self._version.set(version)


def _short(reason: str) -> str:
    """Return the kind of error, or the status, without what is told of it."""
    return reason.partition(":")[0]
