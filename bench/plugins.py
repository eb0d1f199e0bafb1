"""Measures what the built-in plugins cost, and writes it down.

    python -m bench.plugins [--rounds 200] [--out bench/results/FILE.json]
    python -m bench.plugins --write bench/results/FILE.json

Each case of `bench/plugin_cases.py` is measured as `headgate plugins bench` does, among look-ups in a dict: that
ratio says more than microseconds on another machine. A price is the least of the rounds with the plugin less the least
of those without it. `--write` puts the prices into the plugins' pages.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.plugin_close import close_plugin
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.prices.measure import Effort, Price, prices_of

from .governed import PEPPER, PEPPER_VARIABLE
from .machine import cpu_model, describe, slug
from .plugin_cases import JWT_SECRET, JWT_VARIABLE, Case, cases

RESULTS = Path(__file__).with_name("results")
PAGES = Path(__file__).resolve().parents[1] / "docs" / "plugins"
MARK = "Price of a request"
_SECRETS = {PEPPER_VARIABLE: PEPPER, JWT_VARIABLE: JWT_SECRET}
_NUM_LOOKUPS = 10_000
_LOOKUP_ROUNDS = 20
_EFFORT = Effort(rounds=200, batch=10)


def line_of(file: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the line of a plugin's page that tells its prices, out of a result's entries for it."""
    unit, told = " a look-up in a dict in the same run", []
    for one in entries:
        told.append(f"{one['us']:.1f} µs, {one['lookups']:,.0f} times{unit}, for {one['case']}")
        unit = ""
    return f"{MARK} ([figures](../../bench/results/{file})): {'; '.join(told)}."


def with_line(page: str, line: str) -> str:
    """Return a page with its line of prices. Raises: ValueError for a page that has no place for it, or several."""
    lines = page.split("\n")
    places = [place for place, text in enumerate(lines) if text.startswith(MARK)]
    if len(places) != 1:
        raise ValueError(f"expected one line that begins with {MARK!r}, got {len(places)}")
    lines[places[0]] = line
    return "\n".join(lines)


async def measure(case: Case, effort: Effort) -> Price:
    """Measure a case. Raises: ValueError where its exchanges do not go as they are to."""
    types = PluginTypes()
    snapshot = build(load(json.dumps(case.config()), types.schemas(), _SECRETS), types, Registry())
    try:
        found = await prices_of(snapshot, "all", case.requests, case.given(), effort)
    finally:
        for name, instance in snapshot.instances.items():
            close_plugin(name, instance)
    if set(found.statuses) != {case.status}:
        raise ValueError(
            f"{case.plugin}, {case.title}: expected only {case.status}, got {found.statuses}: {found.error}"
        )
    return next(price for price in found.prices if price.plugin == case.plugin)


def lookup_ns() -> float:
    """Return the time of a look-up in a dict of 10,000: the least of some rounds."""
    get, spans = {number: number for number in range(_NUM_LOOKUPS)}.get, []
    for _ in range(_LOOKUP_ROUNDS):
        began = time.process_time_ns()
        for number in range(_NUM_LOOKUPS):
            get(number)
        spans.append((time.process_time_ns() - began) / _NUM_LOOKUPS)
    return min(spans)


async def _measured(effort: Effort) -> dict[str, Any]:
    """Return the prices of all cases, and what a look-up took beside them at the least."""
    entries, lookups_ns = [], [lookup_ns()]
    with tempfile.TemporaryDirectory(prefix="headgate-prices-") as folder:
        for case in cases(Path(folder)):
            price = await measure(case, effort)
            lookups_ns.append(lookup_ns())
            print(f"{case.plugin}, {case.title}: least {price.least_us:.1f} µs, median {price.us:.1f} µs", flush=True)
            entries.append(_entry(case, price))
    return with_lookups(entries, min(lookups_ns))


def _entry(case: Case, price: Price) -> dict[str, Any]:
    figures = {"us": price.least_us, "median_us": price.us, "low_us": price.low_us, "high_us": price.high_us}
    rounded = {name: round(us, 2) for name, us in figures.items()}
    return {"plugin": case.plugin, "case": case.title, **rounded, "with_to_without": round(price.ratio, 3)}


def with_lookups(entries: Sequence[Mapping[str, Any]], lookup: float) -> dict[str, Any]:
    """Return a result's prices, each also as a number of look-ups, which take `lookup` nanoseconds."""
    unit = round(lookup, 2)
    return {"lookup_ns": unit, "prices": [{**each, "lookups": round(each["us"] * 1000 / unit)} for each in entries]}


def by_plugin(result: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield each plugin of a result with its entries."""
    for plugin in dict.fromkeys(entry["plugin"] for entry in result["prices"]):
        yield plugin, [entry for entry in result["prices"] if entry["plugin"] == plugin]


def write(path: Path) -> None:
    """Put the prices of a result into the pages."""
    for plugin, entries in by_plugin(json.loads(path.read_text())):
        page = PAGES / f"{plugin}.md"
        page.write_text(with_line(page.read_text(), line_of(path.name, entries)))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the figures down, or write those of a file into the pages."""
    today = datetime.now(UTC).date().isoformat()
    machine = describe()
    parser = argparse.ArgumentParser(prog="python -m bench.plugins", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=_EFFORT.rounds, help="default %(default)s")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / f"plugins-{today}-{slug(cpu_model())}-{machine['cores']}-cores.json"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="measure nothing; put these prices into the pages")
    options = parser.parse_args(argv)
    if options.write is not None:
        write(options.write)
        return 0
    gc.freeze()
    effort = Effort(options.rounds, _EFFORT.batch)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(_measured(effort))
    versions = {"python": sys.version.split()[0], "headgate": version("headgate")}
    result = {"date": today, "machine": machine, "versions": versions, "rounds": effort.rounds, "batch": effort.batch}
    result["load_average"] = os.getloadavg()[0]
    options.out.write_text(json.dumps(result | measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
