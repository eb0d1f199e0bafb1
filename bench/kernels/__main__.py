"""`python -m bench.kernels`: are the kernels right, and how fast beside what the card can do and what torch has.

On a GPU, in one command (`make gpu`). `--rehearse` does the same without one, and says `not measured`.
"""

from __future__ import annotations

import argparse
import math
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.machine import slug

from . import NAMES
from .budget import Budget
from .crew import ROOT, Crew
from .listings import compile_table, interpreter_table
from .program import Program, Run, gpu, rehearsal
from .report import document, exit_code, text
from .sanitizer import Finding, examine
from .subjects import subjects
from .tables import TABLES, table, write, write_json
from .work import Done, Item

SECONDS = 500.0  # on a GPU
UNHURRIED_SECONDS = 3600.0
START_SECONDS = 120.0  # the first import of torch on a cold disk


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 where all kernels are right, 1 where one is wrong or failed, 2 where there is nothing to run on."""
    parser = _parser()
    options = parser.parse_args(argv)
    if (options.compile_table or options.interpreter_table) and (options.rehearse or options.sweep is not None):
        parser.error("expected a table, or --rehearse or --sweep, got both")
    is_measuring = not (options.rehearse or options.compile_table or options.interpreter_table)
    seconds = options.seconds if options.seconds is not None else SECONDS if is_measuring else UNHURRIED_SECONDS
    budget = Budget(seconds, time.monotonic)
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    with (
        tempfile.TemporaryDirectory(prefix="headgate-kernels-") as folder,
        Crew(Path(folder), budget, _said) as crew,
    ):
        if options.compile_table or options.interpreter_table:
            return _list(options, crew, budget, seed)
        return _measure(options, crew, budget, seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description="checks and times the Triton kernels")
    parser.add_argument("--seconds", type=_seconds, help=f"most that it takes on a GPU (default {SECONDS:.0f})")
    parser.add_argument("--kernel", action="append", choices=NAMES, help="only this one (can be given again)")
    parser.add_argument("--seed", type=_seed, help="of the inputs (default: drawn, and said)")
    parser.add_argument("--out", type=Path, help="folder of what is written (default $OUT, else in the repository)")
    sweep = "time every configuration, and write the tables"
    parser.add_argument("--sweep", nargs="*", choices=NAMES, metavar="KERNEL", help=sweep)
    parser.add_argument("--rehearse", action="store_true", help="all of it without a GPU, but for the times")
    parser.add_argument("--compile-table", action="store_true", help="print what each shape compiles to; needs no GPU")
    parser.add_argument("--interpreter-table", action="store_true", help="print errors and bugs caught; needs no GPU")
    return parser


def _seconds(text: str) -> float:
    """Read a span."""
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _seed(text: str) -> int:
    """Read a seed, as torch takes them."""
    seed = int(text)
    if not 0 <= seed < 2**63:
        raise ValueError
    return seed


def _measure(options: argparse.Namespace, crew: Crew, budget: Budget, seed: int) -> int:
    cores = os.cpu_count() or 1
    stand = rehearsal(cores) if options.rehearse else gpu(cores)
    began = crew.run(stand.times, [Item("machine", seconds=START_SECONDS)])
    complaint = _missing(began, budget.seconds)
    if complaint:
        print(complaint, file=sys.stderr)
        return 2
    (machine,) = began
    names = options.sweep or options.kernel or NAMES
    found, failures = subjects(names)
    program = Program(stand, found, crew, budget, seed)
    run = Run(machine.found, failures=failures)
    if options.sweep is not None:
        program.sweep(run)
    else:
        program.measure(run, partial(examine, crew, seed=seed) if stand.is_measuring else _without_gpu)
    date = datetime.now(UTC).date().isoformat()
    _write(options, program, run, budget, (date, seed))
    print(text(run, program, budget, date, seed), flush=True)
    return exit_code(run)


def _missing(began: Sequence[Done], seconds: float) -> str:
    """Return what a run lacks to be made; nothing where it lacks nothing."""
    if not began:
        return f"expected time to begin, got --seconds {seconds:g}; give it more"
    why = began[0].failure or ("" if began[0].found["name"] else "torch sees no device")
    return why and f"expected a GPU, found none: {why}; try --rehearse"


def _write(options: argparse.Namespace, program: Program, run: Run, budget: Budget, made: tuple[str, int]) -> None:
    """Write the figures, and the tables of a sweep."""
    date, seed = made
    given = options.out or (Path(os.environ["OUT"]) if os.environ.get("OUT") else None)
    usual = ROOT / "build" / "kernels" if options.rehearse else ROOT / "bench" / "results"
    kind = "-sweep" if options.sweep is not None else ""
    path = (given or usual) / f"{slug(str(run.machine['name']))}{kind}-{date}.json"
    write_json(path, document(run, program, budget, date, seed))
    print(f"figures: {path}", file=sys.stderr)
    for kernel in dict.fromkeys(done.item.kernel for done in run.sweeps):
        best = table([done for done in run.sweeps if done.item.kernel == kernel], run.machine, date)
        if best is not None:
            write((given or TABLES) / f"{kernel}.json", best)


def _list(options: argparse.Namespace, crew: Crew, budget: Budget, seed: int) -> int:
    if not budget.seconds:
        print(_missing((), 0.0), file=sys.stderr)
        return 2
    found, failures = subjects(options.kernel or NAMES)
    program = Program(rehearsal(os.cpu_count() or 1), found, crew, budget, seed)
    run = Run({}, failures=failures)
    if options.compile_table:
        program.compile(run)
        print(compile_table(run, program))
    if options.interpreter_table:
        program.interpret(run)
        print(interpreter_table(run, program))
    return exit_code(run)


def _without_gpu(kernels: Sequence[str], seconds: float) -> list[Finding]:
    return [Finding(tool, None, "not checked, there is no GPU") for tool in ("memcheck", "racecheck")]


def _said(done: Done) -> None:
    print(f"{done.seconds:6.1f} s  {done.item} {done.item.number}  {done.failure}".rstrip(), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
