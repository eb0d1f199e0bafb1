"""What can be set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ...proxy.buckets import By, ByValue, Percent
from ...proxy.config.header_edits import EditedName, FieldName
from ...proxy.config.schema_route import TargetGroup
from ...proxy.config.section import Flag, ModelName, Name, Section, Whole, frozen_mapping
from ...proxy.config.wording import FieldError

STABLE = "stable"  # as metrics, logs and testers call it that a request goes where it went before
MAX_VARIANTS = 16


class VariantConfig(Section):
    """One of the other places that requests may go to."""

    targets: tuple[TargetGroup, ...] = Field(
        min_length=1, description="Where its requests go, in order; a list in the list is a group."
    )
    weight: Annotated[Whole, Field(ge=1, le=1000)] = Field(default=1, description="Its part of the share.")
    fallback: Literal["stable", "none"] = Field(
        default="stable", description="What follows where its own targets fail: the stable ones, or nothing."
    )


class TesterConfig(Section):
    """Who may choose a variant, and how."""

    field: FieldName = Field(default="x-canary", description="Request field that names a variant, or `stable`.")
    keys: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        min_length=1, description="Key ids that may choose; a trailing `*` stands for any ending."
    )


class StopConfig(Section):
    """When a variant is taken out by itself."""

    above: Percent = Field(
        description="Percentage points by which its share of errors must exceed that of the stable targets."
    )
    requests: Annotated[Whole, Field(ge=10, le=1_000_000)] = Field(
        default=500, description="Requests of either kind after which the two are compared, and counted anew."
    )


class CanaryConfig(Section):
    """Settings."""

    share: Percent = Field(description="Percentage of the callers that go to a variant.")
    variants: Annotated[Mapping[Name, VariantConfig], AfterValidator(frozen_mapping)] = Field(
        min_length=1, max_length=MAX_VARIANTS, description="The variants, by name."
    )
    by: ByValue = Field(
        default=By("key"),
        description="What is one caller: `key`, `tenant`, `address`, `field:NAME`, `cookie:NAME`; or `request`: each "
        "request is drawn by itself.",
    )
    salt: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Text that is hashed with the caller; without it the plugin's name."
    )
    models: tuple[ModelName, ...] = Field(
        default=(), description="Models whose requests take part, by their own names; empty: all."
    )
    testers: TesterConfig | None = Field(default=None, description="Who may choose a variant; absent: nobody.")
    response_field: EditedName | None = Field(
        default=None, description="Field of the answer that tells the variant; absent: none does."
    )
    logged: Flag = Field(default=False, description="Whether the access log tells the variant.")
    stop: StopConfig | None = Field(default=None, description="When a variant is taken out by itself; absent: never.")

    @model_validator(mode="after")
    def _check_names(self) -> CanaryConfig:
        if STABLE in self.variants:
            raise FieldError(("variants", STABLE), f"`{STABLE}` means no variant, wanted another name")
        return self
