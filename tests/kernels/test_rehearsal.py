"""`python -m bench.kernels` from its start to its end, without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = "rms_norm"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def run(*arguments: str, out: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HEADGATE_KERNELS": KERNEL} | ({} if out is None else {"OUT": str(out)})
    command = [sys.executable, "-m", "bench.kernels", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=380)


def test_a_rehearsal_does_all_but_take_times(tmp_path: Path) -> None:
    done = run("--rehearse", "--seed", "3", out=tmp_path)
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


def test_a_rehearsed_sweep_compiles_every_configuration_and_writes_no_table(tmp_path: Path) -> None:
    done = run("--rehearse", "--sweep", KERNEL, out=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rms_norm width 2048: 20 tried, 0 failed, 0 left out; not measured" in done.stdout
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("no-gpu-sweep-")


def test_both_tables_name_every_shape_and_catch_every_bug() -> None:
    done = run("--compile-table", "--interpreter-table")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| rms_norm | ") == 7 and "`_rms_norm`" in done.stdout
    assert "| 4 of 4 |" in done.stdout


def test_where_there_is_no_gpu_a_run_says_what_can_be_done() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stderr.endswith("expected a GPU, found none: torch sees no device; try --rehearse\n")


def test_no_time_is_no_crash(tmp_path: Path) -> None:
    done = run("--rehearse", "--seconds", "0", out=tmp_path)
    assert done.returncode == 2
    assert "expected time to begin, got --seconds 0" in done.stderr
    assert not list(tmp_path.iterdir())
