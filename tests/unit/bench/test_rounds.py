"""A whole run on real proxies, and what makes one invalid."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.figures import InvalidRun, Load
from bench.origin import Counts
from bench.proxies import STARTS
from bench.rounds import Plan, check_counts, measure
from bench.works import POST, STREAM

LOAD = Load(units=100, duration_s=1.0, p50_ms=1.0, p99_ms=2.0)
BEFORE = Counts(requests=7, body_bytes=7 * 90, refused=1)


def after(requests: int, body_bytes: int, refused: int = 1) -> Counts:
    return Counts(7 + requests, 7 * 90 + body_bytes, refused)


@pytest.mark.parametrize("extra", [0, 1, POST.connections])
def test_requests_under_way_at_the_end_have_no_answer(extra: int) -> None:
    check_counts("post", POST, LOAD, (BEFORE, after(100 + extra, (100 + extra) * 90)))


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        (after(99, 99 * 90), "but 99 reached"),
        (after(101 + POST.connections, (101 + POST.connections) * 90), "but 133 reached"),
        (after(100, 100 * 90 - 1), "8999 bytes"),
        (after(100, 100 * 90, refused=2), "refused 1"),
    ],
)
def test_what_the_origin_got_must_fit(counts: Counts, complaint: str) -> None:
    with pytest.raises(InvalidRun, match=complaint):
        check_counts("post", POST, LOAD, (BEFORE, counts))


def test_no_stream_may_be_asked_for_twice() -> None:
    load = replace(LOAD, units=5000)
    check_counts("stream", STREAM, load, (Counts(), Counts(requests=STREAM.connections, body_bytes=1)))
    with pytest.raises(InvalidRun):
        check_counts("stream", STREAM, load, (Counts(), Counts(requests=STREAM.connections + 1, body_bytes=1)))


def test_a_run_measures_each_proxy_in_each_round(tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    starts = {name: STARTS[name] for name in ("bare", "governed")}
    plan = Plan([STREAM], starts, rounds=1, seconds=1, cpus=(cpus[0], cpus[-1]))
    said: list[str] = []
    results = asyncio.run(measure(plan, tmp_path, said.append))
    assert said[-1] == "round 1 of 1 done"
    assert list(results) == ["stream"] and list(results["stream"]) == ["bare", "governed"]
    for (sample,) in results["stream"].values():
        assert sample.units == 60 * 50
        assert sample.cpu_us > 1 and sample.rss_kib > 10_000
    assert os.sched_getaffinity(0) == set(cpus)
