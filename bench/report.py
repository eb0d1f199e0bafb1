"""Puts the figures of a result into docs/performance.md.

python -m bench.report bench/results/FILE.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
RESULTS = Path(__file__).with_name("results")
_BEGIN = "<!-- figures of "
_END = "<!-- end of figures -->"


def section(name: str, result: Mapping[str, Any]) -> str:
    """Return the part of the page that tells of a result, from its first mark to its last."""
    lines = [f"{_BEGIN}{name}: written by `python -m bench.report` -->", _made(name, result)]
    for work in result["works"].values():
        lines += ["", f"**{work['title']}**", "", *_table(work, result["peer"])]
    return "\n".join([*lines, "", _END])


def named_result(page: str) -> str:
    """Return the name of the result that the page shows. Raises: ValueError for a page without."""
    begin = page.index(_BEGIN) + len(_BEGIN)
    return page[begin : page.index(":", begin)]


def shown(page: str) -> str:
    """Return the part of the page that `section` wrote. Raises: ValueError for a page without."""
    return page[page.index(_BEGIN) : page.index(_END) + len(_END)]


def _made(name: str, result: Mapping[str, Any]) -> str:
    machine, settings, load = result["machine"], result["settings"], result["load_average"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return (
        f"[{name}](../bench/results/{name}), {result['date']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['system']}, kernel {machine['kernel']}; {versions}. {settings['rounds']} rounds of "
        f"{settings['seconds']} s; load average of the machine {load['before'][0]:.1f} before and "
        f"{load['after'][0]:.1f} after."
    )


def _table(work: Mapping[str, Any], peer: str) -> list[str]:
    unit = work["unit"]
    head = f"| | CPU µs/{unit} | times {peer} | {unit}s/s | p50 ms | p99 ms | RSS MiB |"
    rows = [_row(name, rounds, work["multiple_of_peer"][name]) for name, rounds in work["rounds"].items()]
    return [head, "|---|---|---|---|---|---|---|", *rows]


def _row(name: str, rounds: list[Mapping[str, float]], ratio: Mapping[str, float]) -> str:
    cpu = [one["cpu_us"] for one in rounds]
    per_s, p50, p99 = (median(one[part] for one in rounds) for part in ("per_s", "p50_ms", "p99_ms"))
    rss_mib = max(one["rss_kib"] for one in rounds) / 1024
    cost = f"{median(cpu):.0f} ({min(cpu):.0f} to {max(cpu):.0f})"
    times = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
    return f"| {name} | {cost} | {times} | {per_s:.0f} | {p50:.2f} | {p99:.2f} | {rss_mib:.0f} |"


def main() -> int:
    """Write the page anew."""
    path = Path(sys.argv[1])
    page = PAGE.read_text()
    PAGE.write_text(page.replace(shown(page), section(path.name, json.loads(path.read_text()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
