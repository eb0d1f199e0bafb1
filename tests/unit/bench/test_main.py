"""The command: what is missing is said, and the page shows the figures of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.report import PAGE, RESULTS, named_result, section, shown


def test_missing_programs_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 2
    said = capsys.readouterr().err
    assert said == "missing: nginx wrk; run: sudo apt-get install -y --no-install-recommends nginx wrk\n"


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--seconds", "x"], ["--work", "nothing"]])
def test_bad_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_the_page_shows_the_figures_of_its_result() -> None:
    page = PAGE.read_text()
    name = named_result(page)
    assert shown(page) == section(name, json.loads((RESULTS / name).read_text()))
