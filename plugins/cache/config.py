"""Settings of the cache."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ...ext.cache_core import Policy
from ...proxy.config.section import Flag, Section, Whole
from ...proxy.config.units import ByteSize, Duration
from ...proxy.config.wording import FieldError
from .second.config import SecondConfig

FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$", to_lower=True)]

_ENTRY_FRACTION = 16
_COLLECTING_FRACTION = 4


class CacheConfig(Section):
    """One cache. Every process has its own."""

    max_bytes: Annotated[ByteSize, Field(ge=65536)] = Field(
        default=64 << 20,
        description="Memory for stored answers and for those being collected: keys, fields, bodies and bookkeeping.",
    )
    max_entry: ByteSize | None = Field(
        default=None,
        description="The largest answer to store, fields included; at most a quarter of `max_bytes`. "
        "Left out: a sixteenth of it.",
    )
    max_variants: Annotated[Whole, Field(ge=1, le=256)] = Field(
        default=16,
        description="How many answers to one URI that differ by Vary are kept; one more pushes the oldest out.",
    )
    eviction: Policy = Field(
        default="s3fifo",
        description="Which answers go first when the cache is full: `lru`, those used longest ago; `sieve`, those not "
        "used since they were last looked at; `s3fifo`, new ones not used twice before those that were.",
    )
    share: Literal["tenant", "all"] = Field(
        default="tenant",
        description="Who may be answered from what a tenant's request stored: the same tenant, or everybody. With "
        "`all`, an answer to an identified client is stored only where it says `public`, `s-maxage` or "
        "`must-revalidate`.",
    )
    normalise: tuple[Literal["accept", "accept-encoding", "accept-language"], ...] = Field(
        default=("accept", "accept-encoding", "accept-language"),
        description="Fields compared by meaning, not by spelling, where an answer varies on them.",
    )
    heuristic: Flag = Field(
        default=False,
        description="Whether an answer that names no lifetime but a Last-Modified is kept for a tenth of its age, "
        "at most a day.",
    )
    keep_stale: Annotated[Duration, Field(ge=0, le=30 * 86400)] = Field(
        default=3600.0,
        description="How long an answer is kept after it was fresh, at most: to be asked for again by its ETag or "
        "Last-Modified, and for what its own stale-while-revalidate and stale-if-error allow. 0: not at all.",
    )
    targeted: Annotated[tuple[FieldName, ...], Field(max_length=8)] = Field(
        default=("cdn-cache-control",),
        description="Fields of answers that speak to this cache in place of Cache-Control and Expires (RFC 9213); the "
        "first that is there and sound counts.",
    )
    single_flight: Flag = Field(
        default=True,
        description="Whether requests for an answer that is being fetched wait for it instead of fetching it too.",
    )
    max_wait: Annotated[Duration, Field(gt=0, le=300)] = Field(
        default=5.0,
        description="How long after the fetch began a request may wait for it; never more than half of its own time.",
    )
    max_followers: Annotated[Whole, Field(ge=1, le=100_000)] = Field(
        default=256, description="How many requests may wait for one fetch; one more fetches by itself."
    )
    second: SecondConfig | None = Field(
        default=None, description="A Redis in which several instances find each other's answers."
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> CacheConfig:
        most = self.max_bytes // _COLLECTING_FRACTION
        if self.max_entry is not None and self.max_entry > most:
            raise FieldError(
                ("max_entry",), f"got {self.max_entry} bytes, wanted at most a quarter of max_bytes: {most}"
            )
        return self

    @property
    def max_entry_bytes(self) -> int:
        """The largest entry, in bytes."""
        return self.max_bytes // _ENTRY_FRACTION if self.max_entry is None else self.max_entry


class CacheRouteOptions(Section):
    """What a route may set for the cache."""

    enabled: Flag = Field(default=True, description="Whether answers of this route are looked up and stored.")
    default_ttl: Duration | None = Field(
        default=None,
        description="How long a success or a permanent redirect that names no lifetime is fresh. Left out: not stored.",
    )
