"""`headgate plugins new`: what it refuses, and that it never overwrites."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headgate.proxy.cli.main import main
from headgate.proxy.cli.scaffold import KINDS
from headgate.proxy.cli.scaffold.package import files_of, names_of
from headgate.proxy.cli.usage_error import UsageError


@pytest.mark.parametrize(
    ("name", "module", "plugin", "cls"),
    [
        ("headgate-plugin-mine", "headgate_plugin_mine", "mine", "Mine"),
        ("Headgate_Plugin.my-own", "headgate_plugin_my_own", "my_own", "MyOwn"),
        ("headgate-plugin-2fast", "headgate_plugin_2fast", "headgate_plugin_2fast", "HeadgatePlugin2fast"),
        ("headgate-plugin", "headgate_plugin", "headgate_plugin", "HeadgatePlugin"),
        ("Mine", "mine", "mine", "Mine"),
        ("a.b_c-d", "a_b_c_d", "a_b_c_d", "ABCD"),
        ("x--y2", "x_y2", "x_y2", "XY2"),
    ],
)
def test_module_plugin_and_class_follow_from_the_name(name: str, module: str, plugin: str, cls: str) -> None:
    names = names_of(name, KINDS["log"], ())
    assert (names.distribution, names.module, names.plugin, names.cls) == (name, module, plugin, cls)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "wanted letters, digits"),
        ("-mine", "wanted letters, digits"),
        ("mine-", "wanted letters, digits"),
        ("mine/../x", "wanted letters, digits"),
        ("mïne", "wanted letters, digits"),
        ("m" * 61, "at most 60"),
        ("2fast", "which makes no module's name"),
        ("class", "`class` is a word or module of Python's"),
        ("json", "`json` is a word or module of Python's"),
        ("headgate", "`headgate` is a word or module"),
        ("taken", "a plugin `taken` is installed"),
        ("headgate-plugin-taken", "a plugin `taken` is installed"),
        ("reservation", "a class `Reservation` is used by the plugin itself"),
        ("laws", "a class `Laws` is used by the plugin itself"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        names_of(name, KINDS["ratelimit"], ("taken",))


def test_what_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    assert main(["plugins", "new", "mine", "--into", str(tmp_path)]) == 2
    assert f"headgate: {tmp_path}/mine: exists already, wanted a new folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["README.md"]
    assert main(["plugins", "new", "mine", "--into", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_no_placeholder_is_left(kind: str) -> None:
    names = names_of("some-thing", KINDS[kind], ())
    for path, text in files_of(names, KINDS[kind]).items():
        assert not [word for word in ("plugin_name", "PLUGIN_NAME", "Made", "{{", "{does}") if word in text], path


def test_the_list_tells_where_a_plugin_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "listeners: [{address: '127.0.0.1:0'}]\n"
        "clusters: {a: {endpoints: ['http://127.0.0.1:1']}}\n"
        "plugins: {slow: {use: rate_limit, rate: 1/s}, idle: {use: rate_limit, rate: 1/s}}\n"
        "routes:\n"
        "  - {name: one, match: {path: /one}, targets: [a], stages: {ratelimit: [slow]}}\n"
        "  - {name: two, match: {path: /two}, targets: [a], stages: {ratelimit: [slow]}}\n"
    )
    assert main(["plugins", "list", str(config)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert re.search("  ratelimit +slow: one, two; idle: no route$", lines["rate_limit"])
    assert lines["cache"].endswith("not used")
    assert main(["plugins"]) == 0
    assert "slow" not in capsys.readouterr().out
