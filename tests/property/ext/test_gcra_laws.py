"""Laws of the rate limiter: no window admits more than it may, waits are exact."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext._gcra import Limit, admit

LIMITS = st.builds(Limit, interval_ns=st.integers(1, 50), burst=st.integers(1, 8))
STEPS = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 9)), min_size=1, max_size=40)
# A clock that may go back, now and then far.
READINGS = st.lists(st.tuples(st.integers(-200, 200) | st.integers(-5, 5), st.integers(1, 9)), min_size=1, max_size=40)


class TokenBucket:
    """The oracle: tokens as exact fractions, filled up as time goes by."""

    def __init__(self, limit: Limit, now: int) -> None:
        self._rate = Fraction(1, limit.interval_ns)
        self._burst = limit.burst
        self._tokens = Fraction(limit.burst)
        self._now = now

    def ask(self, cost: int, now: int) -> tuple[bool, int, int, int | None]:
        self._tokens = min(Fraction(self._burst), self._tokens + (now - self._now) * self._rate)
        self._now = now
        is_admitted = self._tokens >= cost
        wait = Fraction(0) if is_admitted else (cost - self._tokens) / self._rate
        if is_admitted:
            self._tokens -= cost
        assert wait.denominator == 1
        whole = int(self._tokens)
        next_unit = 0 if whole == self._burst else (whole + 1 - self._tokens) / self._rate
        return is_admitted, whole, int(next_unit), None if cost > self._burst else int(wait)


def assert_no_window_exceeds(limit: Limit, admitted: Sequence[tuple[int, int]]) -> None:
    """Check burst + T / interval for every window that begins and ends at an admission: no other can be worse."""
    for start, _ in admitted:
        for end in {now for now, _ in admitted if now >= start}:
            cost = sum(cost for now, cost in admitted if start <= now <= end)
            assert cost <= limit.burst + Fraction(end - start, limit.interval_ns)


@given(limit=LIMITS, start=st.integers(0, 10**18), steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_it_agrees_with_a_token_bucket(limit: Limit, start: int, steps: list[tuple[int, int]]) -> None:
    oracle, tat, now = TokenBucket(limit, start), 0, start
    for step, cost in steps:
        now += step
        tat, decision = admit(tat, limit, cost, now)
        assert decision == oracle.ask(cost, now)


@given(limit=LIMITS, start=st.integers(0, 1000), readings=READINGS)
@settings(max_examples=200, deadline=None)
def test_no_window_admits_more_whatever_the_clock_does(
    limit: Limit, start: int, readings: list[tuple[int, int]]
) -> None:
    tat, now, admitted = 0, start, []
    for step, cost in readings:
        now = max(0, now + step)
        tat, decision = admit(tat, limit, cost, now)
        if decision.is_admitted:
            admitted.append((now, cost))
        assert 0 <= decision.remaining <= limit.burst
    assert_no_window_exceeds(limit, admitted)


@given(limit=LIMITS, start=st.integers(0, 1000), readings=READINGS)
@settings(max_examples=200, deadline=None)
def test_the_wait_is_tight(limit: Limit, start: int, readings: list[tuple[int, int]]) -> None:
    tat, now = 0, start
    for step, cost in readings:
        now = max(0, now + step)
        before, (tat, decision) = tat, admit(tat, limit, cost, now)
        if decision.is_admitted:
            continue
        assert tat == before
        if decision.retry_after_ns is None:
            assert cost > limit.burst
            assert not admit(tat, limit, cost, now + 10**9)[1].is_admitted
            continue
        assert admit(tat, limit, cost, now + decision.retry_after_ns)[1].is_admitted
        assert not admit(tat, limit, cost, now + decision.retry_after_ns - 1)[1].is_admitted


@given(limit=LIMITS, start=st.integers(0, 1000), readings=READINGS)
@settings(max_examples=200, deadline=None)
def test_the_next_unit_comes_when_it_is_said_to(limit: Limit, start: int, readings: list[tuple[int, int]]) -> None:
    tat, now = 0, start
    for step, cost in readings:
        now = max(0, now + step)
        tat, said = admit(tat, limit, cost, now)
        if said.next_unit_ns:
            assert admit(tat, limit, 0, now + said.next_unit_ns - 1)[1].remaining <= said.remaining
            assert admit(tat, limit, 0, now + said.next_unit_ns)[1].remaining == said.remaining + 1
        else:
            assert said.remaining == limit.burst
