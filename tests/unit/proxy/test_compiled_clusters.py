"""Clusters as a snapshot has them: their health settings, and what a reload keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import yaml

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.counting import Counting
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.snapshot import Snapshot
from headgate.proxy.upstream.health.breaker import BreakerSettings
from headgate.proxy.upstream.health.budget import BudgetSettings
from headgate.proxy.upstream.health.outlier import OutlierSettings
from headgate.proxy.upstream.health.settings import CheckSettings, HealthSettings


def snapshot_of(previous: Snapshot | None = None, drain: str = "30s", num_workers: int = 1, **cluster: Any) -> Snapshot:
    types = PluginTypes(Counting(num_workers=num_workers))
    raw = {
        "listeners": [{"address": "127.0.0.1:8080"}],
        "clusters": {"c": {"endpoints": ["http://127.0.0.1:9000", "http://127.0.0.1:9001"], **cluster}},
        "routes": [{"match": {"path": "/"}, "targets": ["c"]}],
        "drain": drain,
    }
    return build(load(yaml.safe_dump(raw), types.schemas(), {}), types, Registry(), previous)


def test_what_the_configuration_leaves_out_is_the_default_of_the_code() -> None:
    """The defaults stand twice, once to be documented, once to be used by tests: they must not differ."""
    assert snapshot_of().clusters["c"].settings.health == HealthSettings()
    assert snapshot_of(health_check={}).clusters["c"].settings.health == HealthSettings(check=CheckSettings())


def test_the_floor_of_the_budget_is_divided_by_the_workers() -> None:
    snapshot = snapshot_of(num_workers=4, retry_budget={"ratio": 0.5, "floor": 2, "window": "10s"})
    assert snapshot.clusters["c"].settings.health.budget == BudgetSettings(0.5, 0.5, 10.0)


def test_every_setting_gets_where_it_belongs() -> None:
    snapshot = snapshot_of(
        health_check={
            "path": "/up",
            "interval": "2s",
            "timeout": "3s",
            "healthy": 4,
            "unhealthy": 5,
            "statuses": [200, 401],
        },
        outlier={"failures": 6, "base": "7s", "max": "8s", "max_share": 0.25, "panic": 0.125},
        slow_start="9s",
        breaker={"failures": 10, "probes": ["11s"], "ramp": [0.75], "ramp_step": "12s"},
        retry_budget={"ratio": 0.0625, "floor": 13, "window": "14s"},
    )
    cluster = snapshot.clusters["c"]
    assert cluster.settings.health == HealthSettings(
        OutlierSettings(6, 7.0, 8.0, 0.25, 0.125),
        BreakerSettings(10, (11.0,), (0.75,), 12.0),
        BudgetSettings(0.0625, 13.0, 14.0),
        9.0,
        CheckSettings("/up", 2.0, 3.0, 4, 5, frozenset({200, 401})),
    )
    assert cluster.budget.remaining(0.0) == 13 * 14


def test_a_cluster_kept_over_a_reload_keeps_its_health() -> None:
    first = snapshot_of()
    breaker = first.clusters["c"].breaker(None)
    second = snapshot_of(first, drain="5s")
    assert second.clusters["c"].breaker(None) is breaker
    third = snapshot_of(second, slow_start="1s")
    assert third.clusters["c"].breaker(None) is not breaker


def test_a_snapshot_begins_checks_once_for_each_endpoint() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        first = snapshot_of(health_check={"interval": "1h"})
        first.start(loop)
        second = snapshot_of(first, drain="5s", health_check={"interval": "1h"})
        second.start(loop)
        names = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("check ")]
        second.clusters["c"].close()
        return sorted(names)

    assert asyncio.run(main()) == ["check 127.0.0.1:9000", "check 127.0.0.1:9001"]
