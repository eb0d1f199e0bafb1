"""Ratios are taken within a round."""

from __future__ import annotations

from bench.figures import Sample, Spread, added, ratios


def sample(cpu_us: float, p99_ms: float = 2.0) -> Sample:
    return Sample(units=100, cpu_us=cpu_us, per_s=50.0, p50_ms=1.0, p99_ms=p99_ms, rss_kib=2048)


SAMPLES = {
    "direct": [sample(1, 1), sample(1, 2), sample(1, 3)],
    "nginx": [sample(10), sample(20), sample(40)],
    "bare": [sample(30, 3), sample(40, 3), sample(200, 9)],
    "slow": [sample(900)],
}


def test_a_ratio_compares_what_was_measured_in_the_same_round() -> None:
    assert ratios(SAMPLES, "bare", "nginx") == Spread(min=2, median=3, max=5)
    assert ratios(SAMPLES, "bare", "direct") == Spread(min=30, median=40, max=200)


def test_the_peer_is_once_itself() -> None:
    assert ratios(SAMPLES, "nginx", "nginx") == Spread(1, 1, 1)


def test_who_took_part_in_fewer_rounds_is_compared_in_those() -> None:
    assert ratios(SAMPLES, "slow", "nginx") == Spread(90, 90, 90)


def test_there_is_no_ratio_to_a_peer_that_does_not_do_the_work() -> None:
    assert ratios(SAMPLES, "nginx", "envoy") is None
    assert ratios(SAMPLES, "envoy", "nginx") is None


def test_what_a_proxy_adds_is_taken_within_a_round_too() -> None:
    assert added(SAMPLES, "bare", "p99_ms", "direct") == Spread(min=1, median=2, max=6)
    assert added(SAMPLES, "bare", "p99_ms", "nothing") is None
