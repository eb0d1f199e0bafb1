"""Fuzzes the compiled parts: `python -m tests.fuzz [--target NAME ...] [--seconds N] [--keep] [--replay FILE ...]`.

Builds them with libFuzzer's counters, ASan and UBSan, then runs one target after the other, and prints a line for each.
Fails where something is found. `--keep` then writes the corpus in `tests/fuzz/corpus` anew, as few inputs as reach all
that was reached; `--replay` runs given inputs only.
"""

from __future__ import annotations

import argparse
import sys

from .build import FUZZ, build, build_driver
from .engine import CORPUS, FOUND, TARGETS, execute, fuzz, keep

DEFAULT_S = 60


def replay(name: str, files: list[str]) -> int:
    """Run inputs, and show what comes of them."""
    done = execute(name, *files)
    print(done.stderr)
    return 1 if done.returncode else 0


def main(arguments: list[str]) -> int:
    """Run the targets that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=DEFAULT_S)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--replay", nargs="+", metavar="FILE")
    asked = parser.parse_args(arguments)
    if asked.replay and len(asked.target or ()) != 1:
        parser.error("expected one --target for --replay")
    if asked.seconds < 1:
        parser.error(f"expected at least 1 of --seconds, got {asked.seconds}")
    build(FUZZ)
    build_driver()
    if asked.replay:
        return replay(asked.target[0], asked.replay)
    is_clean = True
    for name in asked.target or TARGETS:
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        run = fuzz(name, asked.seconds)
        print(run, flush=True)
        if run.finding is not None:
            is_clean = False
            print(f"  see build/fuzz/{name}.log; once understood, keep it as {CORPUS.name}/{name}/{FOUND}WHAT-IT-IS")
        elif asked.keep:
            print(f"  {keep(name)} inputs kept", flush=True)
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
