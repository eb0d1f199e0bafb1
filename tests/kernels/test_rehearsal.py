"""`python -m bench.kernels` from its start to its end, without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.kernels.__main__ import main

ROOT = Path(__file__).parents[2]
KERNEL = "rms_norm"
NAMED = ("--kernel", KERNEL)
Ran = tuple[int, str, str]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ran]:
    """Give what runs the program here, to save it the import of torch: its workers are processes all the same."""
    monkeypatch.setenv("OUT", str(tmp_path))

    def ran(*arguments: str) -> Ran:
        code = main(arguments)
        return code, *capsys.readouterr()

    return ran


def test_a_rehearsal_does_all_but_take_times(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.kernels", *NAMED, "--rehearse", "--seed", "3"]
    environment = {**os.environ, "OUT": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout) <= 12_001
    assert "ceilings: not measured" in done.stdout and "seed 3" in done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith(f"{KERNEL} ")]
    assert "right, 11 cases" in rows[0]
    assert all("not measured" in row and "2 peers ran" in row for row in rows[1:]) and len(rows) == 7
    (path,) = tmp_path.iterdir()
    found = json.loads(path.read_text())
    assert path.name == f"no-gpu-{found['date']}.json"
    assert {one["detail"]: one["is_right"] for one in found["checks"]} == {"float16": True, "float32": True}
    assert all(one["kernels"][0]["num_registers"] > 0 for one in found["compiled"]) and len(found["compiled"]) == 6
    assert {one["us"] for one in found["times"]} == {"not measured"} and len(found["times"]) == 6
    assert found["left_out"] == found["failures"] == []


def test_a_rehearsed_sweep_compiles_every_configuration_and_writes_no_table(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    code, out, said = run("--rehearse", "--sweep", KERNEL)
    assert code == 0, out + said
    assert "rms_norm width 2048: 20 tried, 0 failed, 0 left out; not measured" in out
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("no-gpu-sweep-")


def test_both_tables_name_every_shape_and_catch_every_bug(run: Callable[..., Ran]) -> None:
    code, out, said = run(*NAMED, "--compile-table", "--interpreter-table")
    assert code == 0, out + said
    assert out.count("| rms_norm | ") == 7 and "`_rms_norm`" in out
    assert "| 4 of 4 |" in out


def test_where_there_is_no_gpu_a_run_says_what_can_be_done(run: Callable[..., Ran]) -> None:
    code, _, said = run(*NAMED)
    assert code == 2
    assert said.endswith("expected a GPU, found none: torch sees no device; try --rehearse\n")


def test_no_time_is_no_crash(run: Callable[..., Ran], tmp_path: Path) -> None:
    code, _, said = run(*NAMED, "--rehearse", "--seconds", "0")
    assert code == 2
    assert "expected time to begin, got --seconds 0" in said
    assert not list(tmp_path.iterdir())
