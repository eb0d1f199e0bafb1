"""The command line of the load tests."""

from __future__ import annotations

from importlib.machinery import ModuleSpec

import pytest

from loadtests import __main__ as command
from loadtests.slo import INVALID


def test_without_locust_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert command.main([]) == INVALID
    assert "make load" in capsys.readouterr().err


def test_a_run_that_is_too_short_to_mean_anything_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: ModuleSpec(name, None))
    assert command.main(["--scenario", "herd", "--seconds", "3"]) == INVALID
    assert "expected at least 24 s for herd, got 3" in capsys.readouterr().err


def test_an_unknown_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["--scenario", "nothing"])
    assert "saturate-pool" in capsys.readouterr().err
