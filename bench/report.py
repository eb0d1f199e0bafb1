"""Puts a result into docs/performance.md, with the plots beside it.

python -m bench.report bench/results/FILE.json

The file is one of `python -m bench`, or one of `python -m bench.flame`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .figures import Sample, Samples, Spread, added
from .plots import Panel, svg
from .proxies import DIRECT
from .tables import as_markdown, work_table, workers_table
from .variants import ONE_WORKER, SEVERAL_WORKERS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
RESULTS = Path(__file__).with_name("results")
FIGURES, FLAME = "figures", "flame"
CPU_PLOT, MORE_PLOT = "performance-cpu.svg", "performance-more.svg"
_MOST_FUNCTIONS = 30


def section(name: str, result: Mapping[str, Any]) -> str:
    """Return the part of the page that tells of a result, from its first mark to its last."""
    lines = [_made(name, result), "", f"![CPU time of each proxy for each work]({CPU_PLOT})"]
    lines += ["", f"![Added latency and memory of each proxy]({MORE_PLOT})"]
    for work in result["works"].values():
        lines += ["", f"**{work['title']}**", ""]
        lines += as_markdown(work_table(work["kind"], work["unit"], samples_of(work)))
    workers = workers_table(ONE_WORKER, SEVERAL_WORKERS, _titled(result))
    if workers:
        lines += ["", "**Two workers beside one, in the same rounds**", "", *as_markdown(workers)]
    return _marked(FIGURES, name, lines)


def flame_section(name: str, result: Mapping[str, Any]) -> str:
    """Return the part of the page that tells where the time of a request goes."""
    shown, rest = result["functions"][:_MOST_FUNCTIONS], result["functions"][_MOST_FUNCTIONS:]
    rows = [[f"`{one['function']}`", f"{one['us']:.1f}", f"{one['share']:.1%}"] for one in shown]
    if rest:
        us, share = (sum(one[part] for one in rest) for part in ("us", "share"))
        rows.append([f"{len(rest)} others", f"{us:.1f}", f"{share:.1%}"])
    lines = [
        f"[{name}](../bench/results/{name}), {result['date']}: {result['title']}, {result['cpu_us']:.0f} µs of CPU "
        f"time a request without the profiler, {result['samples']} samples.",
        "",
        *as_markdown([["function, without what it calls", "µs/request", "share"], *rows]),
    ]
    return _marked(FLAME, name, lines)


def plots(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the pictures of a result by the names of their files."""
    cpu, more = [], []
    for work in result["works"].values():
        samples = samples_of(work)
        named = [(name, rounds) for name, rounds in samples.items() if name != DIRECT]
        if work["kind"] in ("requests", "cache", "stream", "burst"):
            bars = [(name, Spread.of([one.cpu_us for one in rounds])) for name, rounds in named]
            cpu.append(Panel(f"{work['title']}: CPU µs/{work['unit']}, logarithmic", bars, is_log=True))
        more += _more_panels(work, samples)
    return {
        CPU_PLOT: svg("CPU time of each proxy for each work", cpu),
        MORE_PLOT: svg("Added latency and memory of each proxy", more),
    }


def _more_panels(work: Mapping[str, Any], samples: Samples) -> list[Panel]:
    others = [name for name in samples if name != DIRECT]
    if work["kind"] == "single" and DIRECT in samples:
        spreads = [(name, added(samples, name, "p99_ms", DIRECT)) for name in others]
        return [Panel(f"{work['title']}: added p99, ms", [(n, s) for n, s in spreads if s is not None], 2)]
    parts: Mapping[str, list[tuple[str, int, Callable[[Sample], float]]]] = {
        "burst": [("RSS at its most, MiB", 0, lambda one: one.rss_kib / 1024)],
        "idle": [("KiB of RSS for each", 1, lambda one: one.more["kib_per_connection"])],
    }
    return [
        Panel(f"{work['title']}: {title}", [(n, Spread.of([part(one) for one in samples[n]])) for n in others], digits)
        for title, digits, part in parts.get(work["kind"], [])
    ]


def samples_of(work: Mapping[str, Any]) -> dict[str, list[Sample]]:
    """Return what was measured of one work."""
    return {name: [Sample(**one) for one in rounds] for name, rounds in work["rounds"].items()}


def named_result(page: str, what: str) -> str:
    """Return the name of the result that the page shows. Raises: ValueError for a page without."""
    mark = f"<!-- {what} of "
    begin = page.index(mark) + len(mark)
    return page[begin : page.index(":", begin)]


def shown(page: str, what: str) -> str:
    """Return the part of the page between its marks, with them. Raises: ValueError for a page without."""
    end = _end(what)
    return page[page.index(f"<!-- {what} of ") : page.index(end) + len(end)]


def _marked(what: str, name: str, lines: list[str]) -> str:
    return "\n".join([f"<!-- {what} of {name}: written by `python -m bench.report` -->", *lines, "", _end(what)])


def _end(what: str) -> str:
    return f"<!-- end of {what} -->"


def _titled(result: Mapping[str, Any]) -> dict[str, tuple[str, Samples]]:
    return {name: (work["title"], samples_of(work)) for name, work in result["works"].items()}


def _made(name: str, result: Mapping[str, Any]) -> str:
    machine, settings, load = result["machine"], result["settings"], result["load_average"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return (
        f"[{name}](../bench/results/{name}), {result['date']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['system']}, kernel {machine['kernel']}; {versions}. {settings['rounds']} rounds of "
        f"{settings['seconds']} s; load average of the machine {load['before'][0]:.1f} before and "
        f"{load['after'][0]:.1f} after."
    )


def main() -> int:
    """Write the page anew, and the plots."""
    path = Path(sys.argv[1])
    result, page = json.loads(path.read_text()), PAGE.read_text()
    if "functions" in result:
        PAGE.write_text(page.replace(shown(page, FLAME), flame_section(path.name, result)))
        return 0
    PAGE.write_text(page.replace(shown(page, FIGURES), section(path.name, result)))
    for name, picture in plots(result).items():
        PAGE.with_name(name).write_text(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
