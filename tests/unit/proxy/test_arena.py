"""Counts of several workers in one segment of memory: each writes its own, all show the sum."""

from __future__ import annotations

import math
import operator
from collections import Counter as Multiset

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from headgate.proxy.observe.arena import Arena, Shared, merge
from headgate.proxy.observe.metrics import Counter, Gauge, Histogram, Registry

SIZE = 1 << 16
NUM = 3


def memory(size: int = SIZE) -> list[memoryview]:
    whole = memoryview(bytearray(NUM * size))
    return [whole[at * size : (at + 1) * size] for at in range(NUM)]


def shared(parts: list[memoryview], own: int) -> Shared:
    return Shared([Arena(part) for part in parts], own)


def shown(registry: Registry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(registry.render().decode())  # type: ignore[no-untyped-call]
    return {(each.name, tuple(each.labels.items())): each.value for family in families for each in family.samples}


@given(st.lists(st.tuples(st.integers(0, NUM - 1), st.text(max_size=9), st.integers(0, 9), st.booleans())))
def test_every_worker_shows_the_sum_of_all_and_a_successor_goes_on(
    steps: list[tuple[int, str, int, bool]],
) -> None:
    parts = memory()
    totals: Multiset[str] = Multiset()
    workers = [Registry(shared(parts, own)) for own in range(NUM)]
    counters = [registry.register(Counter("hits", "", ("label",))) for registry in workers]
    for own, label, amount, is_replaced in steps:
        if is_replaced:
            workers[own] = Registry(shared(parts, own))
            counters[own] = workers[own].register(Counter("hits", "", ("label",)))
        counters[own].add(label, amount=amount)
        totals[label] += amount
    wanted = {("hits_total", (("label", label),)): float(total) for label, total in totals.items()}
    assert [shown(registry) for registry in workers] == [wanted] * NUM


def test_histograms_are_added_up_bucket_by_bucket() -> None:
    parts = memory()
    workers = [Registry(shared(parts, own)) for own in range(NUM)]
    for own, registry in enumerate(workers):
        registry.register(Histogram("span", "", (), (1.0, 2.0))).observe(own)
    found = shown(workers[0])
    assert found[("span_bucket", (("le", "1.0"),))] == 2
    assert found[("span_count", ())] == 3 and found[("span_sum", ())] == 3.0


def test_gauges_are_merged_as_each_says_and_go_where_nobody_has_them() -> None:
    parts = memory()
    workers = [Registry(shared(parts, own)) for own in range(NUM)]
    added = [registry.register(Gauge("open", "")) for registry in workers]
    worst = [registry.register(Gauge("state", "", ("target",), max)) for registry in workers]
    for own in range(NUM):
        added[own].set(own + 1.0)
        worst[own].set(float(own), "t")
    worst[1].set(7.0, "only here")
    for registry in workers:
        registry.publish()
    assert shown(workers[0]) == {
        ("open", ()): 6.0,
        ("state", (("target", "t"),)): 2.0,
        ("state", (("target", "only here"),)): 7.0,
    }
    workers[1] = Registry(shared(parts, 1))  # a successor that has neither
    workers[1].register(Gauge("open", "")).set(5.0)
    workers[1].register(Gauge("state", "", ("target",), max))
    workers[1].publish()
    assert shown(workers[0]) == {("open", ()): 9.0, ("state", (("target", "t"),)): 2.0}


def test_what_has_no_room_is_counted_in_one_worker_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    parts = memory(256)
    registry = Registry(shared(parts, 0))
    counter = registry.register(Counter("hits", "", ("label",)))
    for number in range(50):
        counter.add(f"label {number}")
        counter.add(f"label {number}")
    assert counter.value("label 49") == 2
    assert 0 < len(shown(registry)) < 20
    assert [record.message for record in caplog.records] == [
        "the memory of the metrics is full: new series count in one worker only"
    ]


def test_a_row_that_is_being_written_is_not_there_yet() -> None:
    part = memory()[0]
    arena = Arena(part)
    arena.add(b"one", 2)
    before = bytes(part[:8])
    arena.add(b"two", 1)
    part[:8] = before  # its writer died before it told of the row
    again = Arena(part)
    assert [key for key, _ in again.rows()] == [b"one"]
    row = again.add(b"three", 1)
    assert row is not None and row[0] == 0
    assert [key for key, _ in again.rows()] == [b"one", b"three"]


def test_no_number_is_no_value() -> None:
    rows = [(("a",), [1.0]), (("a",), [math.nan]), (("a",), [2.0]), (("b",), [math.nan])]
    assert dict(merge(rows, operator.add)) == {("a",): [3.0]}
