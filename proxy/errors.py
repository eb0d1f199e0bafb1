"""Every way an exchange can fail, in one table.

An error has a *source* (who caused it), and says whether the request may be sent again:
`YES`, `NO`, or `REUSED` (only where it failed on a reused connection before any answer).
The table decides status, public message, log level and metric label; nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Who caused a failure."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    INTERNAL = "internal"


class Retryable(StrEnum):
    """Whether another attempt may help, before the commit point."""

    YES = "yes"
    NO = "no"
    REUSED = "only_reused_connection"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    `error_type` and `code` are OpenAI's `error.type` and `error.code`.
    """

    name: str
    source: Source
    status: int
    message: str
    error_type: str
    retryable: Retryable = Retryable.NO
    log_level: str = "info"
    is_closing: bool = False

    @property
    def code(self) -> str:
        """The stable name clients may switch on."""
        return self.name


_DOWN, _UP, _IN = Source.DOWNSTREAM, Source.UPSTREAM, Source.INTERNAL
_INVALID = "invalid_request_error"

_ROWS = (
    # The client's doing. `is_closing`: the framing of the connection can no longer be trusted.
    Kind("bad_request", _DOWN, 400, "the request is malformed", _INVALID, is_closing=True),
    Kind("bad_body", _DOWN, 400, "the request body is not what this route expects", _INVALID),
    Kind("unauthenticated", _DOWN, 401, "a valid credential is required", "authentication_error"),
    Kind("forbidden", _DOWN, 403, "this credential may not use this resource", "permission_error"),
    Kind("quota_exceeded", _DOWN, 403, "the quota of this credential is used up", "insufficient_quota"),
    Kind("route_not_found", _DOWN, 404, "no route matches this request", _INVALID),
    Kind("model_not_found", _DOWN, 404, "the model does not exist or may not be used", _INVALID),
    Kind("method_not_allowed", _DOWN, 405, "the method is not allowed here", _INVALID),
    Kind("head_timeout", _DOWN, 408, "the request head did not arrive in time", _INVALID, is_closing=True),
    Kind("body_timeout", _DOWN, 408, "the request body did not arrive in time", _INVALID, is_closing=True),
    Kind("body_too_large", _DOWN, 413, "the request body is larger than allowed", _INVALID, is_closing=True),
    Kind("target_too_long", _DOWN, 414, "the request target is longer than allowed", _INVALID, is_closing=True),
    Kind("expectation_failed", _DOWN, 417, "the expectation is not supported", _INVALID, is_closing=True),
    Kind("misdirected", _DOWN, 421, "this host is not served here", _INVALID),
    Kind("rate_limited", _DOWN, 429, "the rate limit is reached", "rate_limit_error"),
    Kind("too_many_parallel", _DOWN, 429, "too many requests of this credential run at once", "rate_limit_error"),
    Kind("head_too_large", _DOWN, 431, "the request head is larger than allowed", _INVALID, is_closing=True),
    Kind("client_gone", _DOWN, 499, "the client left before the answer was complete", _INVALID, is_closing=True),
    Kind("not_implemented", _DOWN, 501, "the request asks for what is not implemented", _INVALID, is_closing=True),
    Kind("version_unsupported", _DOWN, 505, "the HTTP version is not supported", _INVALID, is_closing=True),
    # An upstream's doing.
    Kind("connect_failed", _UP, 502, "no connection to the service", "upstream_error", Retryable.YES, "warning"),
    Kind("connect_timeout", _UP, 504, "no connection to the service in time", "upstream_error",
         Retryable.YES, "warning"),
    Kind("tls_failed", _UP, 502, "no trusted connection to the service", "upstream_error", Retryable.YES, "error"),
    Kind("reset", _UP, 502, "the service closed the connection", "upstream_error", Retryable.YES, "warning"),
    Kind("stale_connection", _UP, 502, "a kept connection was closed", "upstream_error", Retryable.REUSED, "info"),
    Kind("silent", _UP, 504, "the service did not answer in time", "upstream_error", Retryable.NO, "warning"),
    Kind("first_event_timeout", _UP, 504, "the answer did not begin in time", "upstream_error",
         Retryable.NO, "warning"),
    Kind("malformed_answer", _UP, 502, "the service gave a malformed answer", "upstream_error", Retryable.YES, "error"),
    Kind("malformed_event", _UP, 502, "the service sent a malformed event", "upstream_error",
         Retryable.YES, "error"),
    Kind("error_event", _UP, 502, "the service reported an error", "upstream_error", Retryable.YES, "warning"),
    Kind("unhealthy_status", _UP, 502, "the service refused the request", "upstream_error", Retryable.YES, "warning"),
    Kind("busy", _UP, 503, "the service is busy", "upstream_error", Retryable.YES, "info"),
    Kind("truncated", _UP, 502, "the answer was cut short", "upstream_error", Retryable.YES, "warning"),
    Kind("stalled", _UP, 504, "the answer stalled", "upstream_error", Retryable.NO, "warning"),
    Kind("no_agreement", _UP, 502, "the services did not agree on an answer", "upstream_error",
         Retryable.NO, "warning"),
    Kind("answer_too_large", _UP, 502, "the answer's head is larger than allowed", "upstream_error",
         Retryable.NO, "error"),
    # Ours.
    Kind("deadline", _IN, 504, "the deadline passed", "timeout_error", Retryable.NO, "warning"),
    Kind("pool_full", _IN, 503, "too many requests wait for this service", "overloaded_error",
         Retryable.YES, "warning"),
    Kind("unavailable", _UP, 503, "the service is out of order and not asked for now", "overloaded_error",
         Retryable.NO, "warning"),
    Kind("overloaded", _IN, 503, "the gateway is overloaded", "overloaded_error", Retryable.NO, "warning"),
    Kind("draining", _IN, 503, "the gateway is shutting down", "overloaded_error",
         Retryable.NO, "info", is_closing=True),
    Kind("stage_failed", _IN, 500, "the gateway failed", "server_error", Retryable.NO, "error"),
    Kind("stage_unavailable", _IN, 503, "a check needed for this request is unavailable", "server_error",
         Retryable.NO, "error"),
    Kind("internal", _IN, 500, "the gateway failed", "server_error", Retryable.NO, "error"),
)  # fmt: skip

KINDS: dict[str, Kind] = {row.name: row for row in _ROWS}


class GatewayError(Exception):
    """A failure of one exchange.

    `detail` is for the log, never for the client; `public` replaces the table's message for the client
    where the message can say more without giving anything away. `event` is the event of the service's stream in which
    it told the failure itself.
    """

    __slots__ = ("detail", "event", "fields", "kind", "public")

    def __init__(
        self,
        kind: str,
        detail: str = "",
        *,
        public: str | None = None,
        fields: tuple[tuple[bytes, bytes], ...] = (),
        event: bytes | None = None,
    ) -> None:
        self.kind = KINDS[kind]
        self.detail = detail
        self.public = public or self.kind.message
        self.fields = fields
        self.event = event
        super().__init__(kind, detail)

    def __str__(self) -> str:
        return f"{self.kind.name}: {self.detail or self.public}"
