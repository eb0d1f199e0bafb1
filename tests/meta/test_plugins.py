"""The stages' order, and the plugins that are shipped."""

from __future__ import annotations

import tomllib
from importlib.metadata import entry_points

import pytest

from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import ENTRY_POINT_GROUP, STAGES

from .tree import ROOT, python_files

DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][ENTRY_POINT_GROUP]
INSTALLED = {
    point.name: point
    for point in entry_points(group=ENTRY_POINT_GROUP)
    if point.dist is not None and point.dist.name == "headgate"
}


def test_stages_run_in_this_order() -> None:
    assert list(STAGES) == [
        "auth",
        "route",
        "ratelimit",
        "request",
        "cache",
        "aggregate",
        "response_head",
        "event",
        "log",
    ]


def test_every_built_in_plugin_is_an_entry_point() -> None:
    named = {path.parts[1].removesuffix(".py") for path in python_files("plugins")}
    built_in = named - {"__init__", "testing"}  # the kit is no plugin
    assert built_in == set(DECLARED) == set(INSTALLED)
    assert {name: point.value for name, point in INSTALLED.items()} == DECLARED


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_built_in_plugins_keep_the_contract(name: str) -> None:
    kind = load_type(name, INSTALLED[name])
    assert kind.stages
    assert kind.cls.__doc__
