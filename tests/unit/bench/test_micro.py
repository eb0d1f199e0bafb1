"""The frame of the micro benchmarks: the least of the rounds, the verdict, and that each of them runs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import pytest

from bench.micro import limiter_cells, machine, route_table, sse
from bench.micro.frame import Benchmark, Row, least


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
    ("benchmark", "subject"),
    [
        (limiter_cells.BENCHMARK, "compiled"),
        (machine.BENCHMARK, "exchange machine"),
        (route_table.BENCHMARK, "compiled"),
        (sse.BENCHMARK, "compiled"),
    ],
    ids=["limiter_cells", "machine", "route_table", "sse"],
)
def test_each_runs_and_holds_ours_to_a_target(
    benchmark: Benchmark, subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {row.subject for row in benchmark.measure(20, 2) if row.target is not None} == {subject}
    assert benchmark.main([f"--{benchmark.counted}", "20", "--rounds", "1"]) in (0, 1)
    assert capsys.readouterr().out.startswith(f"20 {benchmark.counted}, 1 rounds, ")
