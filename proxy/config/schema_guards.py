"""What one plugin is allowed: time, what its failure means, when it is left out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .section import Section, Whole
from .units import Duration
from .wording import FieldError


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
    version: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="The version of the plugin's distribution; another one is refused."
    )

    @model_validator(mode="after")
    def _check(self) -> GuardConfig:
        if "eject_for" in self.model_fields_set and self.eject_after is None:
            raise FieldError(("eject_for",), "does nothing without `eject_after`, wanted both or neither")
        return self
