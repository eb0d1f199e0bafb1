"""Settings of the completion cache."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ...ext.cache_core import Policy
from ...proxy.config.section import Flag, Section, Whole
from ...proxy.config.units import ByteSize, Duration
from ...proxy.config.wording import FieldError

FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$", to_lower=True)]
Member = Annotated[str, StringConstraints(min_length=1, max_length=64)]

_ENTRY_FRACTION = 16
_COLLECTING_FRACTION = 4
# Who asks, and in which form the answer comes: no answer is another one for that.
IGNORED = ("metadata", "prompt_cache_key", "safety_identifier", "stream", "stream_options", "user")
FIELDS = ("anthropic-beta", "anthropic-version", "openai-beta", "openai-organization", "openai-project")


class CompletionCacheConfig(Section):
    """One completion cache. Every process has its own."""

    max_bytes: Annotated[ByteSize, Field(ge=65536)] = Field(
        default=64 << 20, description="Memory for stored answers and for those being collected."
    )
    max_entry: ByteSize | None = Field(
        default=None,
        description="The largest answer to store; at most a quarter of `max_bytes`. Left out: a sixteenth of it.",
    )
    max_request: Annotated[ByteSize, Field(ge=1, le=16 << 20)] = Field(
        default=256 << 10, description="The largest request body to read for its key; a larger one is passed by."
    )
    eviction: Policy = Field(
        default="s3fifo", description="Which answers go first when the cache is full, as for the plugin `cache`."
    )
    share: Literal["tenant", "all"] = Field(
        default="tenant",
        description="Who may be answered from what a tenant's request stored: the same tenant, or everybody who may "
        "use the route.",
    )
    single_flight: Flag = Field(
        default=True,
        description="Whether requests for an answer that is being fetched get it from that fetch, while it comes.",
    )
    max_wait: Annotated[Duration, Field(gt=0, le=3600)] = Field(
        default=60.0,
        description="How long after the fetch began a request may wait: for the first event of a stream that it reads "
        "along, or else for the whole answer; never more than half of its own time.",
    )
    max_followers: Annotated[Whole, Field(ge=1, le=100_000)] = Field(
        default=256, description="How many requests may share one fetch; one more fetches by itself."
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> CompletionCacheConfig:
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


class CompletionCacheRouteOptions(Section):
    """What a route may set for the completion cache."""

    enabled: Flag = Field(default=False, description="Whether completions of this route are looked up and stored.")
    ttl: Annotated[Duration, Field(gt=0, le=365 * 86400)] = Field(
        default=3600.0, description="How long a stored answer is given."
    )
    when: Literal["repeatable", "always"] = Field(
        default="repeatable",
        description="Which requests: `repeatable`, those with `temperature` 0 or a `seed`; `always`, the others, too.",
    )
    revision: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="",
        description="What the models behind this route are at now; another text is a cache that is empty.",
    )
    ignored: Annotated[tuple[Member, ...], Field(max_length=64)] = Field(
        default=IGNORED, description="Members of the body by which no answer is another one."
    )
    fields: Annotated[tuple[FieldName, ...], Field(max_length=16)] = Field(
        default=FIELDS, description="Fields of the request by which an answer may be another one."
    )
    stale_if_error: Annotated[Duration, Field(ge=0, le=30 * 86400)] = Field(
        default=0.0,
        description="How long after `ttl` an answer is kept to be given where every target has failed. 0: not at all.",
    )
