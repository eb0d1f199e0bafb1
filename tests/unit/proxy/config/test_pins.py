"""When pins are looked at: before any plugin is, and whether there are any or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from headgate.proxy.config.load import load
from headgate.proxy.config.plugin_schema import Installed, Pin, PluginSchema
from headgate.proxy.config.problems import ConfigErrors

TEXT = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {a: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{match: {path: /}, targets: [a]}]
plugins: {one: {}, other: {use: two}}
"""
GUARDS = 'guards: {one: {version: "1"}, other: {sha256: DIGEST, on_failure: closed}}\n'.replace("DIGEST", "0" * 64)
PINS = {"one": Pin("one", "1", None), "other": Pin("two", None, "0" * 64)}


class Seen(Installed):
    """Two plugins; `told` is what was asked of them, in order."""

    def __init__(self, *unmet: tuple[str, str, str]) -> None:
        self.told: list[object] = []
        self._unmet = unmet

    def unmet(self, pins: Mapping[str, Pin]) -> Iterator[tuple[str, str, str]]:
        self.told.append(dict(pins))
        yield from self._unmet

    def __getitem__(self, name: str) -> PluginSchema:
        self.told.append(name)
        return PluginSchema(name, stages=frozenset({"cache"}))

    def __iter__(self) -> Iterator[str]:
        return iter(("one", "two"))

    def __len__(self) -> int:
        return 2


def test_pins_come_first() -> None:
    seen = Seen()
    load(TEXT + GUARDS, seen)
    assert seen.told[0] == PINS and set(map(str, seen.told[1:])) == {"one", "two"}


def test_where_there_are_none_none_are_held_any_more() -> None:
    for text in (TEXT, TEXT + "guards: {one: {deadline: 1s, on_failure: closed}}"):
        seen = Seen()
        load(text, seen)
        assert seen.told[0] == {}


def test_where_one_is_not_met_no_plugin_is_looked_up_and_nothing_else_is_told() -> None:
    seen = Seen(("other", "sha256", "it is another"))
    with pytest.raises(ConfigErrors) as caught:
        load(f"{TEXT}{GUARDS}unknown: 1\n", seen)
    assert str(caught.value) == "<text>:5:47: guards.other.sha256: it is another"
    assert seen.told == [PINS]
