"""What is made of compute-sanitizer: not there, not working, and working."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.kernels import crew as crew_module
from bench.kernels import sanitizer
from bench.kernels.budget import Budget
from bench.kernels.crew import Crew
from bench.kernels.sanitizer import examine, summed_up
from bench.kernels.work import Done, Item

WORKER = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"found": {"num_cases": 2}}), flush=True)
"""
# Runs what it is given, and writes a log; of the planted write too, if it works.
CHECKER = """#!{python}
import os, subprocess, sys
tool, log = sys.argv[sys.argv.index("--tool") + 1], sys.argv[sys.argv.index("--log-file") + 1]
command = sys.argv[sys.argv.index("--log-file") + 2:]
assert "PYTORCH_NO_CUDA_MEMORY_CACHING" in os.environ
code = subprocess.run(command).returncode
with open(log.replace("%p", str(os.getpid())), "w") as file:
    if "{mode}" == "blind":
        file.write("========= Device not supported\\n")
    elif "overrun" in log:
        file.write("=========     at _overrun+0x60 in overrun.py:13\\n========= ERROR SUMMARY: 32 errors\\n")
    elif tool == "racecheck" and "{mode}" == "races":
        file.write("========= Error: race at _kernel+0x10\\n========= RACECHECK SUMMARY: 1 hazard displayed\\n")
    else:
        file.write(f"========= {{'RACECHECK' if tool == 'racecheck' else 'ERROR'}} SUMMARY: 0 errors\\n")
sys.exit(code)
"""


def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> list[str]:
    program = tmp_path / "compute-sanitizer"
    if mode != "absent":
        program.write_text(CHECKER.format(python=sys.executable, mode=mode))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def command(mode: str) -> Sequence[str]:
        return (sys.executable, "-c", WORKER)

    monkeypatch.setattr(crew_module, "command", command)
    monkeypatch.setattr(sanitizer, "PLACES", ())
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/nowhere")
    with Crew(tmp_path, Budget(100.0, lambda: 0.0), lambda done: None) as crew:
        return [str(one) for one in examine(crew, ["a", "b"], 60.0, seed=1)]


def test_where_it_is_not_there_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, monkeypatch, "absent") == [
        "memcheck: not checked, there is no compute-sanitizer here",
        "racecheck: not checked, there is no compute-sanitizer here",
    ]


def test_where_it_does_not_see_a_planted_bug_its_silence_is_worth_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memcheck, racecheck = found(tmp_path, monkeypatch, "blind")
    assert memcheck.endswith("did not see a planted write out of bounds; it said: Device not supported")
    assert racecheck.startswith("racecheck: not checked")


def test_where_it_works_its_errors_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, monkeypatch, "fine") == [
        "memcheck: 0 errors; ran a, b",
        "racecheck: 0 errors; ran a, b",
    ]


def test_a_race_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, monkeypatch, "races")[1] == "racecheck: 1 errors in _kernel; ran a, b"


def test_errors_of_several_processes_add_up_and_what_did_not_run_is_said() -> None:
    log = "at _a+0x1\nERROR SUMMARY: 2 errors\nat void _b(int)+0x2\nERROR SUMMARY: 1 error\n"
    done = [Done(Item("touch", "a"), failure="CUDA error"), Done(Item("touch", "b"), {"num_cases": 1})]
    finding = summed_up("memcheck", done, log)
    assert finding.is_bad
    assert str(finding) == "memcheck: 3 errors in _a, _b; ran b; failed: a (CUDA error)"
    assert summed_up("memcheck", done, "").num_errors is None
