"""Which fault is in force, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.faults.script import MAX_FAULTS, Script
from headgate.proxy.faults.spec import Spec, parse


def script(*texts: str, now: float = 100.0) -> Script:
    return Script([parse(text) for text in texts], now)


def kind(spec: Spec | None) -> str:
    return "nothing" if spec is None else spec.kind


def test_faults_follow_each_other_and_then_all_is_well() -> None:
    made = script("500,times=2", "well,once", "cut:1,once")
    assert [kind(made.take(100.0, True)) for _ in range(6)] == ["500", "500", "well", "cut", "nothing", "nothing"]
    assert (made.met, made.position) == ([2, 1, 1], 3)


def test_a_fault_without_an_end_stays() -> None:
    made = script("500", "cut:1")
    assert {kind(made.take(now, True)) for now in (100.0, 1e6)} == {"500"}


def test_a_fault_ends_with_its_time_and_the_next_begins_then() -> None:
    made = script("500,for=5s", "503,for=2s", "429")
    assert kind(made.current(104.999)) == "500"
    assert (kind(made.current(105.0)), made.ends_at()) == ("503", 107.0)
    assert kind(made.current(106.999)) == "503"
    assert kind(made.take(1000.0, True)) == "429"


def test_time_counts_from_when_a_fault_comes_into_force() -> None:
    made = script("500,once", "503,for=5s")
    assert kind(made.take(200.0, True)) == "500"
    assert made.ends_at() == 205.0


def test_times_and_time_bound_together() -> None:
    made = script("500,times=2,for=5s", "503")
    assert kind(made.take(101.0, True)) == "500"
    assert kind(made.take(106.0, True)) == "503"
    again = script("500,times=2,for=5s", "503")
    assert [kind(again.take(100.0, True)) for _ in range(3)] == ["500", "500", "503"]


def test_a_refusal_is_in_force_for_its_time() -> None:
    made = script("refuse:2s", "500")
    assert (kind(made.current(101.9)), made.ends_at()) == ("refuse", 102.0)
    assert (kind(made.current(102.0)), made.ends_at()) == ("500", None)


def test_other_requests_meet_only_a_fault_for_all() -> None:
    made = script("500,once", "503,once,on=all")
    assert made.take(100.0, False) is None
    assert kind(made.take(100.0, True)) == "500"
    assert kind(made.take(100.0, False)) == "503"


def test_a_script_is_bounded() -> None:
    assert Script([parse("500")] * MAX_FAULTS, 0.0).met == [0] * MAX_FAULTS
    with pytest.raises(ValueError, match="wanted at most 1000"):
        Script([parse("500")] * (MAX_FAULTS + 1), 0.0)


EIGHTHS_MS = st.integers(0, 24).map(lambda number: 125 * number)  # exact in seconds, too


@given(
    st.lists(st.tuples(st.none() | st.integers(1, 4), st.none() | EIGHTHS_MS), max_size=6),
    st.lists(EIGHTHS_MS, max_size=20),
)
def test_it_goes_through_its_faults_once_as_a_plain_model_does(
    bounds: list[tuple[int | None, int | None]], waits_ms: list[int]
) -> None:
    specs = [Spec("cut", number, (("how", "reset"),), times, for_ms) for number, (times, for_ms) in enumerate(bounds)]
    made, now_ms = Script(specs, 0.0), 0
    left = [(spec, spec.times, spec.for_ms) for spec in specs]
    since_ms = 0
    for wait_ms in waits_ms:
        now_ms += wait_ms
        while left and left[0][2] is not None and now_ms >= since_ms + left[0][2]:
            since_ms += left.pop(0)[2] or 0
        assert made.current(now_ms / 1000) == (left[0][0] if left else None)
        assert made.take(now_ms / 1000, True) == (left[0][0] if left else None)
        if left and left[0][1] is not None:
            spec, times, for_ms = left[0]
            left[0] = (spec, (times or 0) - 1, for_ms)
            if left[0][1] == 0:
                left.pop(0)
                since_ms = now_ms
