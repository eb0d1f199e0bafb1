"""Ratios are taken within a round."""

from __future__ import annotations

from bench.figures import Sample, Spread, ratios, table


def sample(cpu_us: float) -> Sample:
    return Sample(units=100, cpu_us=cpu_us, per_s=50.0, p50_ms=1.0, p99_ms=2.0, rss_kib=2048)


SAMPLES = {"nginx": [sample(10), sample(20), sample(40)], "bare": [sample(30), sample(40), sample(200)]}


def test_a_ratio_compares_what_was_measured_in_the_same_round() -> None:
    assert ratios(SAMPLES, "bare") == Spread(min=2, median=3, max=5)


def test_the_peer_is_once_itself() -> None:
    assert ratios(SAMPLES, "nginx") == Spread(1, 1, 1)


def test_the_table_has_a_row_for_each_proxy() -> None:
    title, head, nginx, bare = table("GET", "request", SAMPLES).splitlines()
    assert title.startswith("GET") and "CPU µs/request" in head and "requests/s" in head
    assert nginx.split() == ["nginx", "10.0", "20.0", "40.0", "50", "1.00", "2.00", "2.0"]
    assert bare.split() == ["bare", "30.0", "40.0", "200.0", "2.00", "3.00", "5.00", "50", "1.00", "2.00", "2.0"]
