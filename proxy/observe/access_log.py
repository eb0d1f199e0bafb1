"""One JSON line per exchange."""

from __future__ import annotations

import time

from ...ext.json_line import LineFormat
from ..errors import KINDS
from ..exchange.exchange import Exchange
from ..verdicts import Outcome
from .line_writer import LineWriter

# `extra` is the last: without anything in it a line ends before it.
_ENDED = LineFormat(
    (
        "ts",
        "request_id",
        "trace_id",
        "client",
        "method",
        "host",
        "path",
        "route",
        "key_id",
        "tenant",
        "model",
        "target",
        "attempts",
        "fallback",
        "failures",
        "cache",
        "status",
        "level",
        "error",
        "detail",
        "client_gone",
        "received_bytes",
        "sent_bytes",
        "duration_ms",
        "first_byte_ms",
        "prompt_tokens",
        "completion_tokens",
        "extra",
    ),
    spans=("duration_ms", "first_byte_ms"),
)
_REFUSED = LineFormat(("ts", "peer", "status", "level", "error", "detail"))


class AccessLog:
    """Writes a line for each exchange to standard output (`-`), to a file, or nowhere (`off`).

    A line never holds a body, a query, or a credential. `num_lost` lines found no place in the queue of the thread that
    writes, or could not be written.
    """

    def __init__(self, destination: str) -> None:
        self._writer = LineWriter(destination)
        self._clock = _Clock()

    @property
    def num_lost(self) -> int:
        """How many lines were not written."""
        return self._writer.num_lost

    def reopen(self) -> None:
        """Open the destination (anew). Raises: OSError; then the one before stays."""
        self._writer.reopen()

    def close(self) -> None:
        """Write what is queued, for at most a second, and close the file."""
        self._writer.close()

    def write(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write the line of an exchange."""
        if self._writer.is_on:
            self._writer.put(_ENDED.line(_values(self._clock.now(), exchange, outcome)))

    def write_refused(self, peer: str, error: str, status: int, detail: str) -> None:
        """Write the line of what never became a request."""
        if self._writer.is_on:
            level = KINDS[error].log_level
            self._writer.put(_REFUSED.line((self._clock.now(), peer, status, level, error, detail)))


class _Clock:
    """Tells the time as a line does; what it has told of a second is kept."""

    def __init__(self) -> None:
        self._second = self._millisecond = -1
        self._start = self._text = ""

    def now(self) -> str:
        """Return the time of day, to the millisecond (RFC 3339)."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            second = millisecond // 1000
            if second != self._second:
                self._start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
                self._second = second
            self._text = f"{self._start}.{millisecond % 1000:03}Z"
            self._millisecond = millisecond
        return self._text


def _values(now: str, exchange: Exchange, outcome: Outcome) -> tuple[object, ...]:
    request, identity, error, failures = exchange.request, exchange.identity, outcome.error, outcome.failures
    key_id, tenant = (identity.key_id, identity.tenant) if identity is not None else (None, None)
    values = (
        now,
        exchange.request_id,
        exchange.trace_id,
        request.client,
        request.method,
        request.host,
        request.path,
        exchange.route.name or None,
        key_id,
        tenant,
        outcome.model or None,
        outcome.target,
        outcome.attempts,
        outcome.is_fallback,
        tuple(f"{target}: {reason}" for target, reason in failures) if failures else (),
        outcome.cache,
        outcome.status,
        KINDS[error].log_level if error else "info",
        error,
        outcome.detail or None,
        outcome.is_client_gone,
        outcome.received_bytes,
        outcome.sent_bytes,
        outcome.duration_s,
        outcome.first_byte_s,
        outcome.prompt_tokens,
        outcome.completion_tokens,
    )
    return (*values, dict(outcome.extra)) if outcome.extra else values
