"""A configuration that cannot be built leaves nothing of its plugins behind."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.counting import Counting
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.plugin_error import PluginError
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.snapshot import Snapshot

open_ones: list[str] = []


class Opening:
    """Holds something from its set-up to its end."""

    name = ""

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        self.name = setup.name
        open_ones.append(self.name)

    def close(self) -> None:
        open_ones.remove(self.name)


class Refusing:
    """Refuses every configuration."""

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        raise ValueError("never")


def built(*names: str, previous: Snapshot | None = None, ca: Path | None = None) -> Snapshot:
    """Build a configuration with these plugins; one whose file `ca` was another when it was checked."""
    types = PluginTypes(Counting(), given={"opening": Opening, "refusing": Refusing})
    raw: dict[str, Any] = {
        "listeners": [{"address": "127.0.0.1:8080"}],
        "clusters": {"c": {"endpoints": ["http://127.0.0.1:9000"]}},
        "routes": [{"match": {"path": "/"}, "targets": ["c"]}],
        "plugins": {name: {"use": "refusing" if name == "no" else "opening"} for name in names},
    }
    if ca is not None:
        trustme.CA().cert_pem.write_to_path(ca)
        raw["clusters"]["secret"] = {"endpoints": ["https://127.0.0.1:9000"], "tls": {"ca": str(ca)}}
    config = load(yaml.safe_dump(raw), types.schemas(), {})
    if ca is not None:
        ca.write_text("nobody")
    return build(config, types, Registry(), previous)


def test_what_was_made_for_it_is_closed_and_what_serves_is_kept() -> None:
    open_ones.clear()
    first = built("a")
    told = r"plugin `no` \(.+:Refusing\): refused its configuration: never \(at .+test_refused_builds\.py:\d+\)"
    with pytest.raises(PluginError, match=told):
        built("a", "b", "no", "c", previous=first)
    assert open_ones == ["a"]
    built("a", "b", previous=first)
    assert open_ones == ["a", "b"]


def test_what_was_made_is_closed_where_something_else_fails(tmp_path: Path) -> None:
    open_ones.clear()
    first = built("a")
    with pytest.raises(ssl.SSLError):
        built("a", "b", previous=first, ca=tmp_path / "ca.pem")
    assert open_ones == ["a"]
    open_ones.clear()
    with pytest.raises(ssl.SSLError):
        built("a", "b", ca=tmp_path / "ca.pem")
    assert not open_ones
