"""How hard a route tries: retry, fallback, hedge, and how much of an answer is held back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from .section import Section, Whole
from .units import Duration, Timeout, duration_text, parse_duration
from .wording import Words, shown

Cause = Literal["connect", "reset", "silent", "first_event", "status", "busy", "error_event", "malformed"]
RETRY_CAUSES = ("connect", "reset", "status", "error_event", "malformed")
# What the client must see: another target would say the same, or the client is at fault.
PASSED_ON = frozenset({400, 401, 403, 404, 413, 422})


def _check_retry_cause(value: object) -> object:
    if value in ("silent", "first_event"):
        raise ValueError(f"got `{value}`, wanted it under `fallback.on`: silence is not retried on the same target")
    if value == "busy":
        raise ValueError("got `busy`, wanted it under `fallback.on`: a busy target is waited for, see `busy_wait`")
    return value


def _check_status(value: int) -> int:
    if not 400 <= value <= 599:
        raise ValueError(f"got {value}, wanted a status from 400 to 599")
    if value in PASSED_ON:
        raise ValueError(f"got {value}, wanted another status: this one is the client's to see and always passed on")
    return value


RetryCause = Annotated[
    Literal["connect", "reset", "status", "error_event", "malformed"], BeforeValidator(_check_retry_cause)
]
Status = Annotated[Whole, AfterValidator(_check_status), Words("a status", "statuses", "`503`")]


class RetryRule(Section):
    """When the same target is tried again, before the commit point."""

    attempts: Annotated[Whole, Field(ge=1, le=10)] = Field(
        default=2, description="Tries per target, the first included."
    )
    on: tuple[RetryCause, ...] = Field(default=("connect", "reset", "status"), description="Causes of a retry.")
    statuses: tuple[Status, ...] = Field(default=(502, 503, 504), description="Statuses that count as cause `status`.")
    backoff: Duration = Field(default=0.025, description="Longest pause before the first retry; it doubles with each.")
    max_backoff: Duration = Field(default=1.0, description="Longest pause before any retry.")


class FallbackRule(Section):
    """When the next target is tried, before the commit point."""

    on: tuple[Cause, ...] = Field(
        default=("connect", "reset", "silent", "first_event", "status", "busy", "error_event", "malformed"),
        description="Causes of a fallback.",
    )
    statuses: tuple[Status, ...] = Field(
        default=(500, 502, 503, 504, 529), description="Statuses that count as cause `status`."
    )


class HedgeRule(Section):
    """When a target that is slow to begin is asked a second time, beside the first attempt."""

    after: Timeout = Field(description="How long the first attempt may take to begin.")
    max: Annotated[Whole, Field(ge=1, le=5)] = Field(default=1, description="Further attempts beside it.")


@dataclass(frozen=True, slots=True)
class HoldBack:
    """How much of an answer is held back: so many tokens, so long, the whole of it, or (all zero) nothing."""

    tokens: int = 0
    span_s: float = 0.0
    is_whole: bool = False

    def __str__(self) -> str:
        if self.tokens:
            return f"{self.tokens} {'token' if self.tokens == 1 else 'tokens'}"
        if self.span_s:
            return duration_text(self.span_s)
        return "complete" if self.is_whole else "none"


_HOLD_WORDS = Words("how much is held back", "amounts held back", "`none`, `20 tokens`, `500ms` or `complete`")
_TOKENS = re.compile(r"([1-9][0-9]{0,6}) tokens?")


def parse_hold_back(value: object) -> HoldBack:
    """Return how much is held back. Raises: ValueError."""
    if isinstance(value, HoldBack):
        return value
    if value == "none" or value is False:
        return HoldBack()
    if value == "complete":
        return HoldBack(is_whole=True)
    tokens = _TOKENS.fullmatch(value) if isinstance(value, str) else None
    if tokens is not None:
        return HoldBack(tokens=int(tokens[1]))
    try:
        span_s = parse_duration(value)
    except ValueError:
        raise ValueError(f"got {shown(value)}, wanted {_HOLD_WORDS}") from None
    return HoldBack(span_s=span_s)


HoldBackValue = Annotated[HoldBack, BeforeValidator(parse_hold_back), _HOLD_WORDS]
