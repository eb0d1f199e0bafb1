"""What is measured beyond what every exchange is counted by."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Section, Whole


class Observe(Section):
    """What is measured of some exchanges only, as it would cost too much of all."""

    time_hooks_every: Annotated[Whole, Field(ge=0, le=1_000_000)] = Field(
        default=128,
        description="Of about so many exchanges one is drawn whose hooks are timed, for `headgate_plugin_seconds`; "
        "`0`: of none.",
    )
