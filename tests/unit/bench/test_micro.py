"""The frame of the micro benchmarks: the least of the rounds, the verdict, and that each of them runs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from bench.micro import (
    cache_core,
    cache_replay,
    completion_cache,
    ending,
    head_scan,
    hooks,
    http1,
    limiter_cells,
    machine,
    plain_exchange,
    quota,
    route_table,
    sse,
)
from bench.micro.frame import Benchmark, Row, least
from headgate.ext.cache_core import POLICIES


def one_of(rows: Sequence[Row]) -> Benchmark:
    return Benchmark("cost of nothing", "things", 7, lambda num, rounds: rows)


def test_of_each_subject_the_least_of_its_rounds_counts_and_every_round_times_all() -> None:
    order: list[str] = []

    def timed(name: str, *spans_ns: int) -> Callable[[], int]:
        left = iter(spans_ns)

        def run() -> int:
            assert not gc.isenabled()
            order.append(name)
            return next(left)

        return run

    best = least({("a", "x"): timed("x", 300, 100, 200), ("a", "y"): timed("y", 50, 60, 70)}, 10, 3)
    assert best == {("a", "x"): 10.0, ("a", "y"): 5.0}
    assert order == ["x", "y"] * 3
    assert gc.isenabled()


def test_garbage_is_collected_again_after_a_subject_that_fails() -> None:
    def fails() -> int:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        least({("", "fails"): fails}, 1, 1)
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("row", "end", "code"),
    [
        (Row("a", "b", 1234.5, 6.0), "1234 ns     6.00 x", 0),
        (Row("a", "b", 1234.5, 6.0, 6.0), "1234 ns     6.00 x  target 6 x: ok", 0),
        (Row("a", "b", 1234.5, 6.01, 6.0), "1234 ns     6.01 x  target 6 x: OVER", 1),
        (Row("a", "b", 3000.0, 40.0, 3000.0, "ns"), "3000 ns    40.00 x  target 3000 ns: ok", 0),
        (Row("a", "b", 3001.0, 40.0, 3000.0, "ns"), "3001 ns    40.00 x  target 3000 ns: OVER", 1),
    ],
)
def test_a_target_that_is_missed_is_shown_and_sets_the_exit_code(
    row: Row, end: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert one_of([Row("a", "known", 200.0, 1.0), row]).main([]) == code
    head, _, last = capsys.readouterr().out.splitlines()
    assert head.startswith("7 things, 15 rounds, Python 3.")
    assert last.split()[:2] == ["a", "b"] and last.endswith(end)


@pytest.mark.parametrize(
    ("benchmark", "subjects"),
    [
        (cache_core.BENCHMARK, {f"compiled, {policy}" for policy in POLICIES}),
        (completion_cache.BENCHMARK, {"hit"}),
        (ending.BENCHMARK, {"own", "shared"}),
        (head_scan.BENCHMARK, {"compiled"}),
        (hooks.BENCHMARK, {"hook"}),
        (http1.BENCHMARK, {"compiled"}),
        (limiter_cells.BENCHMARK, {"compiled"}),
        (machine.BENCHMARK, {"exchange machine"}),
        (plain_exchange.BENCHMARK, {"exchange", "with a connection"}),
        (quota.BENCHMARK, {"both"}),
        (route_table.BENCHMARK, {"compiled"}),
        (sse.BENCHMARK, {"compiled"}),
    ],
    ids=[
        "cache_core",
        "completion_cache",
        "ending",
        "head_scan",
        "hooks",
        "http1",
        "limiter_cells",
        "machine",
        "plain_exchange",
        "quota",
        "route_table",
        "sse",
    ],
)
def test_each_runs_and_holds_ours_to_a_target(
    benchmark: Benchmark, subjects: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert {row.subject for row in benchmark.measure(20, 2) if row.target is not None} == subjects
    assert benchmark.main([f"--{benchmark.counted}", "20", "--rounds", "1"]) in (0, 1)
    assert capsys.readouterr().out.startswith(f"20 {benchmark.counted}, 1 rounds, ")


def test_the_best_ratio_is_that_of_trying_everything() -> None:
    """Belady's optimum against every choice of what to keep, on short traces."""

    def most_hits(keys: tuple[int, ...], kept: frozenset[int], num: int) -> int:
        if not keys:
            return 0
        key, rest = keys[0], keys[1:]
        known = kept | {key}
        choices = {frozenset(chosen) for size in range(num + 1) for chosen in combinations(sorted(known), size)}
        return (key in kept) + max(most_hits(rest, chosen, num) for chosen in choices)

    random = Random(3)
    for _ in range(30):
        keys = tuple(random.randrange(4) for _ in range(6))
        for num in (1, 2):
            assert cache_replay.best_ratio(keys, num) * len(keys) == pytest.approx(most_hits(keys, frozenset(), num))


def test_the_replay_prints_the_same_table_each_time_and_nobody_beats_the_best(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables = []
    for _ in range(2):
        assert cache_replay.main(["--requests", "300"]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[0].splitlines()[2:]]
    assert {row[0] for row in cells} == set(cache_replay.TRACES)
    for _, _, *ratios, best in cells:
        assert best == "-" or all(float(ratio) <= float(best) for ratio in ratios)


def test_the_page_of_the_cache_shows_what_the_replay_prints() -> None:
    page = (Path(__file__).parents[3] / "docs" / "plugins" / "cache.md").read_text()
    trace = cache_replay.trace_of("Zipf 1.1", cache_replay.NUM_REQUESTS)
    assert cache_replay.line_of("Zipf 1.1", trace, 0.01) in page.splitlines()
    for name in cache_replay.TRACES:
        assert page.count(f"| {name} |") == len(cache_replay.SHARES)
