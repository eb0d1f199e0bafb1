"""`python -m loadtests`: run scenarios, write figures and a report, exit 1 where one missed its thresholds."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.machine import cpu_model, slug

from .report.document import document, verdict_word
from .report.page import page
from .run import Done, run
from .scenarios import SCENARIOS
from .scenarios.scenario import Scenario
from .slo import INVALID, exit_code, shown

_RESULTS = Path(__file__).with_name("results")


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 where all thresholds were met, 1 where one was missed, 2 where one means nothing or could not be made."""
    options = _parser().parse_args(argv)
    complaint = _complaint(options)
    if complaint:
        print(complaint, file=sys.stderr)
        return INVALID
    chosen = [SCENARIOS[name] for name in dict.fromkeys(options.scenario or SCENARIOS)]
    load_before = os.getloadavg()
    done = []
    for scenario in chosen:
        try:
            done.append(_run(scenario, options.seconds or scenario.seconds))
        except (RuntimeError, TimeoutError) as error:
            print(f"{scenario.name}: could not be run: {error or type(error).__name__}", file=sys.stderr)
            return INVALID
        print("\n".join(_told(done[-1])), flush=True)
    _save(document(done, (load_before, os.getloadavg())), options.out)
    return exit_code([(one.verdicts, one.invalid) for one in done])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description="a whole gateway under load")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this one (can be given again)")
    parser.add_argument("--seconds", type=int, help="how long each load lasts (default: as each scenario says)")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results (default loadtests/results)")
    return parser


def _complaint(options: argparse.Namespace) -> str:
    if find_spec("locust") is None:
        return "missing: locust; run: make load, or pip install 'headgate[load]'"
    for name in options.scenario or SCENARIOS:
        if options.seconds is not None and options.seconds < SCENARIOS[name].least_seconds:
            return f"expected at least {SCENARIOS[name].least_seconds:g} s for {name}, got {options.seconds}"
    return ""


def _run(scenario: Scenario, seconds: float) -> Done:
    print(f"{scenario.name}: {seconds:g} s", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="headgate-load-") as folder:
        return asyncio.run(run(scenario, seconds, Path(folder)))


def _told(done: Done) -> list[str]:
    """Say how a scenario ended."""
    lines = [f"\n{done.scenario.name}: {verdict_word(done)}"]
    lines += [f"  invalid: {reason}" for reason in done.invalid]
    for one in done.verdicts:
        seen = "nothing" if one.seen is None else shown(one.seen, one.threshold.unit)
        word = "  " if one.is_met else "NO"
        lines.append(f"  {word} {one.threshold.meaning}: {seen}, wanted {one.threshold.wanted()}")
    return [*lines, *(f"  {sentence}" for sentence in done.observed.saturation.sentences())]


def _save(found: dict[str, object], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found['date']}-{slug(cpu_model())}-{found['cores']}-cores.json"
    path.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    report = path.with_suffix(".html")
    report.write_text(page(found))
    print(f"\nfigures: {path}\nreport: {report}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
