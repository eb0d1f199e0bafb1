"""compute-sanitizer on small cases: accesses out of bounds, and races in shared memory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .crew import Crew
from .work import Done, Item, within

PROGRAM = "compute-sanitizer"
PLACES = ("/usr/local/cuda/bin", "/opt/nvidia/compute-sanitizer")
SECONDS = 90.0  # of one kernel
LEAST_SECONDS = 10.0  # with which one more is begun
_SUMMARY = re.compile(r"(?:ERROR SUMMARY|RACECHECK SUMMARY): (\d+) ")
_AT = re.compile(r"\bat (?:void )?(_\w+)[+(]")
_ALONE = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}  # each tensor an allocation of its own, whose ends are known


@dataclass(frozen=True, slots=True)
class Finding:
    """What one tool said: how many errors (None where it did not work, and `note` says why), and of which kernels."""

    tool: str
    num_errors: int | None
    note: str
    kernels: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether a kernel is wrong."""
        return bool(self.num_errors)

    def __str__(self) -> str:
        if self.num_errors is None:
            return f"{self.tool}: {self.note}"
        where = f" in {', '.join(self.kernels)}" if self.kernels else ""
        return f"{self.tool}: {self.num_errors} errors{where}; {self.note}"


def examine(crew: Crew, kernels: Sequence[str], seconds: float, *, seed: int) -> list[Finding]:
    """Return what memcheck and racecheck find in the kernels, in about `seconds`."""
    program = shutil.which(PROGRAM) or next((f"{p}/{PROGRAM}" for p in PLACES if Path(p, PROGRAM).is_file()), None)
    if program is None:
        return [Finding(tool, None, f"not checked, there is no {PROGRAM} here") for tool in ("memcheck", "racecheck")]
    items = [Item("touch", name, detail="bfloat16", seed=seed, seconds=SECONDS) for name in kernels]
    with ThreadPoolExecutor(3) as pool:
        proof = pool.submit(_watched, crew, program, "memcheck", [Item("overrun", seconds=SECONDS)], seconds)
        found = [pool.submit(_watched, crew, program, tool, items, seconds) for tool in ("memcheck", "racecheck")]
    is_working = any(number for number in counts(proof.result()[1]))
    return [
        summed_up(tool, *one.result()) if is_working else Finding(tool, None, _useless(proof.result()))
        for tool, one in zip(("memcheck", "racecheck"), found, strict=True)
    ]


def summed_up(tool: str, done: Sequence[Done], log: str) -> Finding:
    """Return the finding of what was done under a tool, and its log."""
    found = counts(log)
    ran = [one.item.kernel for one in done if not one.failure]
    failed = [f"{one.item.kernel} ({one.failure})" for one in done if one.failure]
    note = f"ran {', '.join(ran) or 'nothing'}" + (f"; failed: {', '.join(failed)}" if failed else "")
    if not found:
        return Finding(tool, None, f"it gave no summary; {note}")
    return Finding(tool, sum(found), note, tuple(sorted(set(_AT.findall(log)))))


def counts(log: str) -> list[int]:
    """Return the errors of each summary in a log."""
    return [int(number) for number in _SUMMARY.findall(log)]


def _watched(crew: Crew, program: str, tool: str, items: Sequence[Item], seconds: float) -> tuple[list[Done], str]:
    """Run items under a tool, and return what it wrote too; what there is no time for is missing."""
    found: list[Done] = []
    name = f"{tool}-{items[0].kind}"
    prefix = [program, "--tool", tool, "--print-limit", "20", "--log-file", str(crew.folder / f"{name}-%p.txt")]
    with crew.worker("gpu", prefix, _ALONE) as worker:
        left = seconds
        for item in items:
            if left < LEAST_SECONDS:
                break
            done = worker.do(within(item, left))
            left -= done.seconds
            found.append(done)
    logs = sorted(crew.folder.glob(f"{name}-*.txt"))
    return found, "".join(path.read_text(errors="replace") for path in logs)


def _useless(proof: tuple[Sequence[Done], str]) -> str:
    said = [line.strip("= ") for line in proof[1].splitlines() if line.startswith("===")]
    last = said[-1] if said else "nothing"
    return f"not checked, it did not see a planted write out of bounds; it said: {last[:120]}"
