"""`python -m bench.scorecard`: run every scenario, write docs/scorecard.md; exit 1 where a promise was not kept."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ..machine import describe
from .client import Seen, ask
from .outages import Row, long_outage, two_waves
from .scenario import BUDGET, Scenario, scenarios
from .stand import stand

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "scorecard.md"
_AT_ONCE = 4


async def run(scenario: Scenario, folder: Path) -> tuple[Scenario, Seen, int]:
    """Run one scenario with processes of its own: no breaker remembers another one."""
    async with stand(folder, scenario.route, scenario.targets) as running:
        for _ in range(scenario.warm):
            await ask(running.session, running.url, is_stream=True)
        await running.heavy.misbehave(scenario.fault, *scenario.then)
        seen = await ask(running.session, running.url, is_stream=scenario.is_stream)
        if scenario.fault.startswith("refuse"):
            return scenario, seen, 0
        return scenario, seen, await running.heavy.num_attempts()


def is_kept(scenario: Scenario, seen: Seen, attempts: int) -> bool:
    """Whether the client saw what it had to see, in time."""
    return seen.end == scenario.end and seen.seconds <= scenario.within_s and attempts <= scenario.attempts


async def run_all(folder: Path) -> tuple[list[tuple[Scenario, Seen, int]], list[Row]]:
    """Run everything, some side by side."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def gated(number: int, scenario: Scenario) -> tuple[Scenario, Seen, int]:
        async with gate:
            done = await run(scenario, folder / f"{number}")
            print("." if is_kept(*done) else f"\n{done}", end="", file=sys.stderr, flush=True)
            return done

    for name in ("outage", "waves", *map(str, range(len(tuple(scenarios()))))):
        (folder / name).mkdir()
    outage = asyncio.create_task(long_outage(folder / "outage"))
    found = await asyncio.gather(*(gated(number, each) for number, each in enumerate(scenarios())))
    waves = await two_waves(folder / "waves")
    return list(found), [*await outage, *waves]


def page(found: Sequence[tuple[Scenario, Seen, int]], rows: Sequence[Row]) -> str:
    """Write the page."""
    machine = describe()
    lines = [
        "# Scorecard",
        "",
        "What a client saw of each fault, in a real run: two `headgate fault-upstream` processes, `heavy` and `lite`,",
        f"a gateway in front of them, default options, a deadline of {BUDGET}. Written by `make scorecard`",
        f"({datetime.now(UTC).date()}, {machine['cpu']}, {os.cpu_count()} cores, {machine['system']}, kernel",
        f"{machine['kernel']}, headgate {version('headgate')}).",
        "",
        "*saw*: `heavy` or `lite`, the whole answer of that target, word for word; `error`, one typed error in the",
        "answer's place or as the last event of the stream, never with a finish_reason; `400`, the service's own",
        "refusal.",
        "*attempts*: at the first target.",
        "",
        "| fault at the first target | streamed | saw | error | attempts | seconds | kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for scenario, seen, attempts in found:
        cells = (
            scenario.title,
            "yes" if scenario.is_stream else "no",
            seen.end,
            seen.error or "-",
            str(attempts),
            f"{seen.seconds:.2f}",
            "yes" if is_kept(scenario, seen, attempts) else "**no**",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Outages", "", "| what | seen | promised | kept |", "|---|---|---|---|"]
    lines += [f"| {row.title} | {row.seen} | {row.promised} | {'yes' if row.is_kept else '**no**'} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run; 0 where every promise was kept."""
    with tempfile.TemporaryDirectory(prefix="headgate-scorecard-") as folder:
        found, rows = asyncio.run(run_all(Path(folder)))
    _PAGE.write_text(page(found, rows))
    broken = [scenario.title for scenario, seen, attempts in found if not is_kept(scenario, seen, attempts)]
    broken += [row.title for row in rows if not row.is_kept]
    print(f"\n{len(found) + len(rows)} scenarios, {len(broken)} not kept; {_PAGE}", file=sys.stderr)
    for title in broken:
        print(f"not kept: {title}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
