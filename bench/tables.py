"""The tables of a result: the same cells for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .figures import PEERS, Sample, Samples, Spread, added, ratios
from .proxies import DIRECT
from .works import LONG_GAP_MS

NOTHING = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of each proxy."""

    head: str
    cell: Callable[[str, Samples], str]


Row = Sequence[str]


def work_table(kind: str, unit: str, samples: Samples) -> list[Row]:
    """Return the head and a row for each proxy of one work. Columns in which nobody has anything are left out."""
    columns = _COLUMNS[kind](unit)
    cells = [[column.cell(name, samples) for name in samples] for column in columns]
    kept = [number for number, column in enumerate(cells) if any(column)]
    rows = [[name, *(cells[number][at] for number in kept)] for at, name in enumerate(samples)]
    return [[NOTHING, *(columns[number].head for number in kept)], *rows]


def workers_table(one: str, several: str, works: Mapping[str, tuple[str, Samples]]) -> list[Row]:
    """Return what `several` workers cost beside `one`, over works by name, each with its title. Empty without any."""
    rows: list[Row] = []
    for title, samples in works.values():
        ratio = ratios(samples, several, one)
        if ratio is not None:
            least = Spread.of([sample.more["least_share"] * 100 for sample in samples[several]])
            rows.append([title, _spread(ratio, 2), f"{_spread(least, 0)} %"])
    head = ["", "CPU of both per request, times that of one worker", "the smaller share of the requests"]
    return [head, *rows] if rows else []


def as_text(table: Sequence[Row]) -> str:
    """Lay a table out for the terminal."""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    first, *others = widths
    return "\n".join(
        "  ".join([f"{row[0]:{first}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], others, strict=True))])
        for row in table
    )


def as_markdown(table: Sequence[Row]) -> list[str]:
    """Return the lines of a table for the page."""
    head, *rows = table
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def _spread(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return NOTHING
    return f"{spread.median:.{digits}f} ({spread.min:.{digits}f} to {spread.max:.{digits}f})"


def _over(value: Callable[[Sample], float], digits: int) -> Callable[[str, Samples], str]:
    """Show the spread of a value over the rounds."""
    return lambda name, samples: _spread(Spread.of([value(sample) for sample in samples[name]]), digits)


def _middle(value: Callable[[Sample], float], digits: int) -> Callable[[str, Samples], str]:
    return lambda name, samples: f"{median(value(sample) for sample in samples[name]):.{digits}f}"


def _most(value: Callable[[Sample], float], digits: int) -> Callable[[str, Samples], str]:
    return lambda name, samples: f"{max(value(sample) for sample in samples[name]):.{digits}f}"


def _more(part: str, scale: float = 1.0) -> Callable[[Sample], float]:
    return lambda sample: sample.more[part] * scale


def _times(peer: str) -> Column:
    def cell(name: str, samples: Samples) -> str:
        return NOTHING if name == DIRECT else _spread(ratios(samples, name, peer), 2)

    return Column(f"times {peer}", cell)


def _added(part: str, head: str) -> Column:
    def cell(name: str, samples: Samples) -> str:
        return NOTHING if name == DIRECT else _spread(added(samples, name, part, DIRECT), 3)

    return Column(head, cell)


_P50 = Column("p50 ms", _middle(lambda sample: sample.p50_ms, 2))
_P99 = Column("p99 ms", _middle(lambda sample: sample.p99_ms, 2))
_RSS = Column("RSS MiB", _most(lambda sample: sample.rss_kib / 1024, 0))


def _cost(unit: str) -> list[Column]:
    return [Column(f"CPU µs/{unit}", _over(lambda sample: sample.cpu_us, 0)), *map(_times, PEERS)]


def _requests(unit: str) -> list[Column]:
    return [*_cost(unit), Column(f"{unit}s/s", _middle(lambda sample: sample.per_s, 0)), _P50, _P99, _RSS]


def _stream(unit: str) -> list[Column]:
    gap = Column("largest gap ms", _over(_more("largest_gap_ms"), 0))
    gapped = Column(f"streams with a gap above {LONG_GAP_MS:.0f} ms", _most(_more("num_gapped"), 0))
    return [*_requests(unit), gap, gapped]


def _single(unit: str) -> list[Column]:
    latencies = [_added("p50_ms", "added p50 ms"), _added("p99_ms", "added p99 ms"), _P50, _P99]
    return [*latencies, *_cost(unit)]


def _burst(unit: str) -> list[Column]:
    return [
        *_cost(unit),
        Column("seconds for all", _middle(lambda sample: sample.units / sample.per_s, 1)),
        Column("RSS MiB before", _most(_more("before_kib", 1 / 1024), 0)),
        Column("at its most", _most(lambda sample: sample.rss_kib / 1024, 0)),
        Column("5 s after", _most(_more("after_kib", 1 / 1024), 0)),
    ]


def _idle(unit: str) -> list[Column]:
    return [
        Column(f"KiB/{unit}", _over(_more("kib_per_connection"), 1)),
        Column("RSS MiB before", _most(_more("before_kib", 1 / 1024), 0)),
        Column("RSS MiB with them", _most(lambda sample: sample.rss_kib / 1024, 0)),
    ]


_COLUMNS: Mapping[str, Callable[[str], list[Column]]] = {
    "requests": _requests,
    "cache": _requests,
    "stream": _stream,
    "single": _single,
    "burst": _burst,
    "idle": _idle,
}
