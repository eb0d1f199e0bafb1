"""Plugins that exist for these tests only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.secrets import SecretRef
from headgate.proxy.config.section import Section
from headgate.proxy.config.units import RateValue


class KeySettings(BaseModel):
    """Settings that would silently ignore unknown keys."""

    pepper: SecretRef


class LimitSettings(Section):
    """Settings with units."""

    rate: RateValue
    burst: Annotated[int, Field(ge=1)] = 5


class LimitOptions(Section):
    """What a route may set."""

    cost: int = 1


class ModelSettings(Section):
    """Settings of the plugin that routes by model."""

    default: str | None = None


@pytest.fixture(scope="session")
def schemas() -> Mapping[str, PluginSchema]:
    """The installed plugins, as the lookup of entry points gives them."""
    known = (
        PluginSchema("api_key", KeySettings, None, frozenset({"auth"})),
        PluginSchema("rate_limit", LimitSettings, LimitOptions, frozenset({"ratelimit", "log"})),
        PluginSchema("model_route", ModelSettings, None, frozenset({"route", "aggregate"})),
        PluginSchema("broken", refused="the plugin `broken` 1.0 cannot be used: broken.py:3: no hook is implemented"),
    )
    return {schema.name: schema for schema in known}
