"""Everybody at once, up to a peak."""

from __future__ import annotations

from collections.abc import Mapping

from ..crowd import Crowd
from ..figures import between, fairness, is_ok, latency_ms, percentile, share
from ..shapes.curve import joined
from ..shapes.ramp import ramp
from ..slo import Threshold
from ..stand import TierSpec
from .scenario import ALWAYS, KEYS, Observed, Scenario


def _crowds(seconds: float) -> tuple[Crowd, ...]:
    return (
        Crowd("chat", ramp(50, seconds), KEYS),
        Crowd("stream", ramp(20, seconds), KEYS),
        Crowd("cached", ramp(60, seconds), KEYS),
        # All have begun early enough to end with the others.
        Crowd("slow", joined([(seconds / 4, 0), (seconds / 4, 1.5), (seconds / 2, 0)]), (21, 22, 23, 24)),
    )


def _figures(observed: Observed) -> Mapping[str, float]:
    records = observed.records
    of = {kind: [record for record in records if record.kind == kind] for kind in ("chat", "stream", "cached", "slow")}
    peak = between(of["chat"], observed.seconds / 2, observed.seconds)
    least = observed.before.rss_kib
    return {
        "ok": share(records, is_ok),
        "slow_ok": share(of["slow"], is_ok),
        "chat_p99_ms": latency_ms(peak, 99),
        "first_event_p99_ms": 1e3 * percentile((record.first_s for record in of["stream"]), 99),
        "cache_hits": share(of["cached"], lambda record: record.detail in ("hit", "collapsed")),
        "grown_mib": (max(sample.rss_kib for sample in observed.samples) - least) / 1024,
        "fairness": fairness([record for record in records if record.kind != "slow"]),
    }


MIXED = Scenario(
    name="mixed",
    title="Completions, streams, cached pages and slow readers together, ramped to a peak",
    seconds=24,
    least_seconds=16,
    tiers={"heavy": TierSpec(32, 32, 40), "lite": TierSpec(32, 32, 20)},
    crowds=_crowds,
    figures=_figures,
    thresholds=(
        *ALWAYS,
        Threshold("ok", "whole right answers", at_least=1, unit="%"),
        Threshold("slow_ok", "large answers that slow readers got whole", at_least=1, unit="%"),
        Threshold(
            "chat_p99_ms", "p99 of completions at the peak, of which 40 ms are the tier's", at_most=150, unit="ms"
        ),
        Threshold("first_event_p99_ms", "p99 to the first event of a stream (tier: 4 ms)", at_most=120, unit="ms"),
        Threshold("cache_hits", "pages answered by the cache", at_least=0.8, unit="%"),
        Threshold(
            "grown_mib", "growth of the gateway's memory, with 24 MiB for each slow reader", at_most=32, unit="MiB"
        ),
        Threshold("fairness", "Jain's index over keys", at_least=0.99),
    ),
)
