"""The rate limiter's cell."""

from __future__ import annotations

import pytest

from headgate.ext._gcra import MAX_REFILL_NS, Limit, admit, charge, give_back

MS = 1_000_000
TEN_A_SECOND = Limit(100 * MS, 3)


def test_a_new_caller_has_the_whole_burst_and_then_the_rate() -> None:
    now, tat, remaining = 5000 * MS, 0, []
    for _ in range(3):
        tat, decision = admit(tat, TEN_A_SECOND, 1, now)
        assert decision.is_admitted
        remaining.append(decision.remaining)
    assert remaining == [2, 1, 0]
    same, refusal = admit(tat, TEN_A_SECOND, 1, now)
    assert (same, refusal) == (tat, (False, 0, 100 * MS, 100 * MS))
    assert not admit(tat, TEN_A_SECOND, 1, now + 100 * MS - 1)[1].is_admitted
    assert admit(tat, TEN_A_SECOND, 1, now + 100 * MS)[1].is_admitted


def test_next_unit_tells_when_one_more_is_there() -> None:
    tat, decision = admit(0, TEN_A_SECOND, 3, 1000 * MS)
    assert (decision.remaining, decision.next_unit_ns) == (0, 100 * MS)
    _, later = admit(tat, TEN_A_SECOND, 0, 1130 * MS)
    assert (later.remaining, later.next_unit_ns) == (1, 70 * MS)
    _, full = admit(tat, TEN_A_SECOND, 0, 1300 * MS)
    assert (full.remaining, full.next_unit_ns) == (3, 0)


def test_a_cost_above_the_burst_is_never_admitted_and_says_so() -> None:
    _, decision = admit(0, TEN_A_SECOND, 4, 1000 * MS)
    assert (decision.is_admitted, decision.retry_after_ns, decision.retry_after_s) == (False, None, None)


def test_seconds_are_rounded_up() -> None:
    limit = Limit(1500 * MS, 1)
    tat, decision = admit(0, limit, 1, 0)
    assert decision.next_unit_s == 2
    assert admit(tat, limit, 1, 499 * MS)[1].retry_after_s == 2
    assert admit(tat, limit, 1, 500 * MS)[1].retry_after_s == 1


@pytest.mark.parametrize(
    ("amount", "per_s", "interval_ns"),
    [
        (10, 1.0, 100 * MS),
        (3, 1.0, 333_333_334),
        (1, 3600.0, 3600 * 1000 * MS),
        (1_000_000_000, 1.0, 1),
        (7, 60.0, 8_571_428_572),
    ],
)
def test_a_rate_is_never_rounded_up(amount: int, per_s: float, interval_ns: int) -> None:
    limit = Limit.of(amount, per_s, 1)
    assert limit.interval_ns == interval_ns
    assert limit.interval_ns * amount >= per_s * 1e9


@pytest.mark.parametrize(
    ("amount", "per_s", "burst", "message"),
    [(0, 1.0, 1, "rate of at least 1"), (1, 1.0, 0, "burst of at least 1"), (1, 3600.0, MAX_REFILL_NS, "146 years")],
)
def test_a_limit_that_cannot_be_is_refused(amount: int, per_s: float, burst: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limit.of(amount, per_s, burst)


def test_what_was_used_beyond_the_estimate_is_owed_also_beyond_the_burst() -> None:
    owing = charge(1200 * MS, TEN_A_SECOND, 5, 1000 * MS)
    assert owing == 1700 * MS
    _, decision = admit(owing, TEN_A_SECOND, 1, 1000 * MS)
    assert decision == (False, 0, 500 * MS, 500 * MS)
    assert charge(100 * MS, TEN_A_SECOND, 5, 1000 * MS) == 1500 * MS
    assert charge(0, TEN_A_SECOND, MAX_REFILL_NS, 1000 * MS) == 1000 * MS + MAX_REFILL_NS
    assert charge(1001 * MS + MAX_REFILL_NS, TEN_A_SECOND, 5, 1000 * MS) == 1001 * MS + MAX_REFILL_NS


def test_what_is_given_back_makes_a_bucket_full_at_most() -> None:
    assert give_back(1300 * MS, TEN_A_SECOND, 2, 1000 * MS) == 1100 * MS
    assert give_back(1300 * MS, TEN_A_SECOND, 4, 1000 * MS) == 1000 * MS
    assert give_back(900 * MS, TEN_A_SECOND, 4, 1000 * MS) == 900 * MS
