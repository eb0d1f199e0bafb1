"""Which configuration a sweep takes, and how its table is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.kernels.tables import best, table, write
from bench.kernels.work import Done, Item

MACHINE = {"name": "a card", "torch": "2.11", "triton": "3.6", "driver": "1"}


def swept(*times: float | None, bucket: str = "b", default: int = 1) -> dict[str, Any]:
    """A sweep of num_warps 1, 2, 4 ...; None is a configuration that failed."""
    tried = [
        {"config": {"num_warps": 2**at}, **({"failure": "no"} if us is None else {"us": us})}
        for at, us in enumerate(times)
    ]
    return {"bucket": bucket, "default": {"num_warps": default}, "tried": tried, "left_out": 0}


def test_the_fastest_is_taken() -> None:
    assert best([swept(10.0, 5.0, 8.0)]) == {"num_warps": 2}


def test_over_several_shapes_each_counts_by_its_own_least() -> None:
    small, large = swept(1.0, 2.0, 1.05), swept(1000.0, 900.0, 890.0)
    assert best([small, large]) == {"num_warps": 4}


def test_what_fails_on_one_shape_is_not_taken() -> None:
    assert best([swept(10.0, 5.0), swept(10.0, None)]) == {"num_warps": 1}


def test_the_default_stays_unless_it_is_slower_by_more_than_noise() -> None:
    assert best([swept(10.1, 10.0)]) == {"num_warps": 1}
    assert best([swept(10.5, 10.0)]) == {"num_warps": 2}


@pytest.mark.parametrize("found", [[], [swept(None, None)], [swept()]])
def test_where_nothing_was_timed_nothing_is_taken(found: list[dict[str, Any]]) -> None:
    assert best(found) is None


def test_a_table_says_who_made_it_when_and_on_what() -> None:
    item = Item("sweep", "k")
    sweeps = [Done(item, swept(2.0, 1.0, bucket="c")), Done(item, swept(None, bucket="d")), Done(item, {}, "died")]
    assert table(sweeps, MACHINE, "2026-01-02") == {
        "made_by": "python -m bench.kernels --sweep",
        "date": "2026-01-02",
        "device": "a card",
        "torch": "2.11",
        "triton": "3.6",
        "buckets": {"c": {"num_warps": 2}},
    }
    assert table(sweeps[1:], MACHINE, "2026-01-02") is None


def test_a_table_keeps_what_was_measured_on_the_same_machine_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "tables" / "k.json"
    for bucket, machine, kept in (
        ("a", MACHINE, ["a"]),
        ("b", MACHINE, ["a", "b"]),
        ("c", {**MACHINE, "triton": "3.7"}, ["c"]),
    ):
        made = table([Done(Item("sweep", "k"), swept(2.0, 1.0, bucket=bucket))], machine, "2026-01-02")
        assert made is not None
        write(path, made)
        assert sorted(json.loads(path.read_text())["buckets"]) == kept
    assert [one.name for one in path.parent.iterdir()] == ["k.json"]
