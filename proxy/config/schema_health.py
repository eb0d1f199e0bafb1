"""How a cluster's endpoints and targets are watched over."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from .section import Section, Whole
from .units import Timeout, duration_text
from .wording import FieldError, Words, shown


def _check_path(value: object) -> str:
    if not isinstance(value, str) or not _is_path(value):
        raise ValueError(f"got {shown(value)}, wanted {_PATH_WORDS}")
    return value


def _is_path(value: str) -> bool:
    return value.startswith("/") and all("!" <= character <= "~" and character != "#" for character in value)


def _check_status(value: int) -> int:
    if not 200 <= value <= 599:
        raise ValueError(f"got {value}, wanted a status from 200 to 599")
    return value


def _check_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"got {shown(value)}, wanted a number such as `0.5`")
    return float(value)


_PATH_WORDS = Words("a path of visible ASCII characters", "paths", "`/health`")
CheckPath = Annotated[str, BeforeValidator(_check_path), _PATH_WORDS]
ExpectedStatus = Annotated[Whole, AfterValidator(_check_status), Words("a status", "statuses", "`200`")]
Number = Annotated[float, BeforeValidator(_check_number), Strict()]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[Whole, Field(ge=1, le=1000)]


class HealthCheck(Section):
    """Requests that ask every endpoint whether it is well."""

    path: CheckPath = Field(default="/health", description="What is asked for, by GET.")
    interval: Timeout = Field(default=1.0, description="Time from check to check of one endpoint.")
    timeout: Timeout = Field(default=1.0, description="Time for one check, the connection included.")
    healthy: Count = Field(default=2, description="Successes in a row after which an endpoint is asked again.")
    unhealthy: Count = Field(default=2, description="Failures in a row after which it is asked no more.")
    statuses: tuple[ExpectedStatus, ...] = Field(
        default=(), description="Statuses that are a success; empty: 200 to 399."
    )


class Outlier(Section):
    """When an endpoint that fails is left out, and for how long.

    The only endpoint of a cluster never is.
    """

    failures: Count = Field(
        default=3, description="Failures in a row (no connection, reset, silence, 5xx; not 429 or 503)."
    )
    base: Timeout = Field(default=10.0, description="Time of the first ejection; each further one is longer by it.")
    max: Timeout = Field(default=60.0, description="Longest ejection; after as long without one, one is forgotten.")
    max_share: Share = Field(default=0.5, description="Share that is left out at most, but one may be; `0`: none.")
    panic: Share = Field(default=0.5, description="With a smaller share of healthy endpoints all are asked.")

    @model_validator(mode="after")
    def _check_longest(self) -> Outlier:
        if self.max < self.base:
            base = duration_text(self.base)
            raise FieldError(("max",), f"got {duration_text(self.max)}, wanted at least `base` ({base})")
        return self


class Breaker(Section):
    """When a target that fails is asked after the others, and how it comes back."""

    failures: Count = Field(default=2, description="Failures in a row that open the breaker.")
    probes: tuple[Timeout, ...] = Field(
        default=(10.0, 20.0, 30.0),
        min_length=1,
        max_length=16,
        description="Waits before one request probes the target again: after it opened, after the first failed probe, "
        "and so on; the last one repeats.",
    )
    ramp: tuple[Share, ...] = Field(
        default=(0.1, 0.25, 0.5, 1.0),
        max_length=16,
        description="Shares of the requests that the target gets after a successful probe, step by step; empty: all.",
    )
    ramp_step: Timeout = Field(default=2.0, description="Time for each step of `ramp`.")

    @model_validator(mode="after")
    def _check_ramp(self) -> Breaker:
        for place, share in enumerate(self.ramp):
            before = self.ramp[place - 1] if place else 0.0
            if share <= before:
                raise FieldError(("ramp", place), f"got {share:g}, wanted a share above {before:g}: a ramp only rises")
        return self


class RetryBudget(Section):
    """How many retries and resumes there may be over all requests to the cluster; hedges have a budget of their own."""

    ratio: Share = Field(default=0.2, description="Share of the requests in the window.")
    floor: Annotated[Number, Field(ge=0, le=1_000_000)] = Field(
        default=10.0, description="Number a second that there may be besides, however few requests come."
    )
    window: Timeout = Field(default=10.0, description="Time over which both are counted.")

    @property
    def is_ever_granted(self) -> bool:
        """Whether there may be a retry at all: less than a whole one in the window is none."""
        return self.ratio > 0 or self.floor * self.window >= 1
