"""A whole run on real proxies, and what makes one invalid."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.figures import InvalidRun
from bench.memory import measure_once
from bench.origin import Counts
from bench.proxies import proxies
from bench.rounds import Plan, check_bytes, check_counts, measure
from bench.works import BURST, CACHE, IDLE, NUM_STREAMS, POST, STREAM, Work

BEFORE = Counts(requests=7, body_bytes=7 * 90, refused=1)


def after(requests: int, body_bytes: int, refused: int = 1) -> Counts:
    return Counts(7 + requests, 7 * 90 + body_bytes, refused)


@pytest.mark.parametrize("extra", [0, 1, POST.connections])
def test_requests_under_way_at_the_end_have_no_answer(extra: int) -> None:
    both = BEFORE, after(100 + extra, (100 + extra) * 90)
    check_counts("post", POST, 100, both)
    check_bytes("post", POST, both)


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        (after(99, 99 * 90), "but 99 reached"),
        (after(101 + POST.connections, (101 + POST.connections) * 90), "but 133 reached"),
        (after(100, 100 * 90, refused=2), "refused 1"),
    ],
)
def test_what_the_origin_got_must_fit(counts: Counts, complaint: str) -> None:
    with pytest.raises(InvalidRun, match=complaint):
        check_counts("post", POST, 100, (BEFORE, counts))


def test_bodies_must_come_as_they_were_sent() -> None:
    with pytest.raises(InvalidRun, match="8999 bytes"):
        check_bytes("post", POST, (BEFORE, after(100, 100 * 90 - 1)))


def test_no_stream_may_be_asked_for_twice() -> None:
    check_counts("stream", STREAM, 5000, (Counts(), Counts(requests=STREAM.connections, body_bytes=1)))
    with pytest.raises(InvalidRun):
        check_counts("stream", STREAM, 5000, (Counts(), Counts(requests=STREAM.connections + 1, body_bytes=1)))


def test_no_hit_of_a_cache_may_reach_the_origin() -> None:
    check_counts("cache", CACHE, 100, (Counts(), Counts()))
    with pytest.raises(InvalidRun, match="but 1 reached"):
        check_counts("cache", CACHE, 100, (Counts(), Counts(requests=1)))


def plan(*works: Work, names: tuple[str, ...]) -> Plan:
    cpus = sorted(os.sched_getaffinity(0))
    taking_part = {name: proxies()[name] for name in names}
    return Plan(works, taking_part, rounds=1, seconds=1, cpus=(cpus[0], cpus[-1]))


def test_a_run_measures_each_proxy_in_each_round(tmp_path: Path) -> None:
    said: list[str] = []
    before = os.sched_getaffinity(0)
    results = asyncio.run(measure(plan(STREAM, names=("bare", "governed", "cached")), tmp_path, said.append))
    assert said[-1] == "round 1 of 1 done"
    assert list(results) == ["stream"] and list(results["stream"]) == ["bare", "governed"]
    for (sample,) in results["stream"].values():
        assert sample.units == NUM_STREAMS * 50
        assert sample.cpu_us > 1 and sample.rss_kib > 10_000 and sample.more["origin_cpu_s"] > 0
    assert os.sched_getaffinity(0) == before


def test_what_is_done_once_is_done_by_a_proxy_that_has_just_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.memory._AFTER_S", 0.0)
    monkeypatch.setattr("bench.memory._HELD_S", 0.0)
    works = replace(BURST, connections=40), replace(IDLE, connections=200)
    results = asyncio.run(measure_once(plan(*works, names=("governed",)), tmp_path, lambda line: None))
    (burst,), (idle,) = results["burst"]["governed"], results["idle"]["governed"]
    assert burst.units == 40 and idle.units == 200
    assert 10_000 < burst.more["before_kib"] < burst.rss_kib and burst.more["after_kib"] <= burst.rss_kib
    assert 0 < idle.more["kib_per_connection"] < 500 and idle.rss_kib > 10_000
