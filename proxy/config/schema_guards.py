"""What one plugin is allowed: time, what its failure means, when it is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from .section import Name, Section, Whole, frozen_mapping
from .units import Duration
from .versions import Versions
from .wording import FieldError, Words, shown

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA256_WORDS = Words("a SHA-256 of 64 digits of `0` to `f`", "digests")


def _check_sha256(value: object) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted {_SHA256_WORDS}")
    return value


Sha256 = Annotated[str, PlainValidator(_check_sha256), _SHA256_WORDS]


class GuardConfig(Section):
    """The guard of one plugin. It stands beside the plugin's own settings, which are the plugin's to name."""

    deadline: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None, description="Time for one call that waits; without it there is the deadline of the exchange only."
    )
    on_failure: Literal["open", "closed"] | None = Field(
        default=None,
        description="What a failure means, where the stage leaves a choice: silence, or the end of the exchange.",
    )
    eject_after: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Failures in a row after which the plugin is left out of the stage for a while."
    )
    eject_for: Annotated[Duration, Field(gt=0)] = Field(
        default=10.0, description="How long it is left out; one call afterwards tells whether it comes back."
    )
    version: Versions | None = Field(
        default=None,
        description="Versions of the plugin's distribution that are taken, as PEP 440 writes them. Another is refused, "
        "and not imported.",
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="Digest of the content of the plugin's distribution, as `headgate plugins pin` tells it. Anything "
        "else is refused, and not imported.",
    )

    @model_validator(mode="after")
    def _check(self) -> GuardConfig:
        if "eject_for" in self.model_fields_set and self.eject_after is None:
            raise FieldError(("eject_for",), "does nothing without `eject_after`, wanted both or neither")
        return self


Guards = Annotated[Mapping[Name, GuardConfig], AfterValidator(frozen_mapping)]
