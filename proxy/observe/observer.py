"""Sees every exchange end: counts it, logs it."""

from __future__ import annotations

import logging

from ..errors import GatewayError
from ..exchange.exchange import Exchange
from ..verdicts import Outcome
from .access_log import AccessLog
from .gen_ai import GenAiMetrics
from .metrics import Counter, Gauge, Histogram, Registry

_log = logging.getLogger("headgate")


class Observer:
    """The gateway's own metrics and its access log. Labels are names of the configuration, never of a client."""

    def __init__(self, registry: Registry, access_log: AccessLog) -> None:
        self.registry = registry
        self.access_log = access_log
        make = registry.register
        self._requests = make(Counter("headgate_requests", "Exchanges ended.", ("route", "status")))
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

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Count and log one exchange."""
        route = exchange.route.name or "none"
        self._requests.add(route, str(outcome.status))
        self._duration.observe(outcome.duration_s, route)
        if outcome.first_byte_s is not None:
            self._first_byte.observe(outcome.first_byte_s, route)
        self._bytes.add(route, "received", amount=outcome.received_bytes)
        self._bytes.add(route, "sent", amount=outcome.sent_bytes)
        for target, how in outcome.ends:
            self._attempts.add(target, how)
        if outcome.target is not None:
            self._count_target(outcome.target, outcome)
        if outcome.cache is not None:
            self._cache.add(route, outcome.cache)
        if outcome.is_client_gone:
            self._gone.add(route)
        if outcome.error is not None:
            self._errors.add(route, outcome.error, GatewayError(outcome.error).kind.source)
        self._gen_ai.ended(exchange, outcome)
        self.access_log.write(exchange, outcome)

    def _count_target(self, target: str, outcome: Outcome) -> None:
        if outcome.is_fallback and outcome.preferred is not None:
            # Its own failures, of before or after it answered, led nobody to it. Without one of another target in this
            # exchange that was moved behind for those of other exchanges.
            reasons = [_short(reason) for name, reason in outcome.failures if name != target]
            self._fallback.add(outcome.preferred, target, reasons[-1] if reasons else "breaker_open")
        if outcome.prompt_tokens is not None:
            self._tokens.add(target, "input", amount=outcome.prompt_tokens)
        if outcome.completion_tokens is not None:
            self._tokens.add(target, "output", amount=outcome.completion_tokens)

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
