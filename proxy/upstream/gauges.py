"""What the metrics tell of the health of upstreams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import add

from ..observe.arena import Merge
from ..observe.metrics import MAX_SERIES, Gauge, Labels, Registry
from .cluster import Cluster

Readings = Iterator[tuple[Labels, float]]
Read = Callable[[Mapping[str, Cluster], float], Readings]


def breaker_states(clusters: Mapping[str, Cluster], now: float) -> Readings:
    """Yield the state of every breaker, by target: 0 closed, 1 open, 2 half open, 3 ramping."""
    for cluster in clusters.values():
        for target, breaker in cluster.breakers():
            yield (target,), float(breaker.state(now))


def ejected_members(clusters: Mapping[str, Cluster], now: float) -> Readings:
    """Yield the number of ejected endpoints, by cluster."""
    for name, cluster in clusters.items():
        yield (name,), float(cluster.outlier.num_ejected(now))


def healthy_members(clusters: Mapping[str, Cluster], now: float) -> Readings:
    """Yield the number of endpoints that are neither ejected nor found bad by active checks, by cluster."""
    for name, cluster in clusters.items():
        yield (name,), float(cluster.outlier.num_healthy(now))


def budgets_remaining(clusters: Mapping[str, Cluster], now: float) -> Readings:
    """Yield how many retries would be granted now, by cluster."""
    for name, cluster in clusters.items():
        yield (name,), cluster.budget.remaining(now)


def hedges_remaining(clusters: Mapping[str, Cluster], now: float) -> Readings:
    """Yield how many hedges would be granted now, by cluster."""
    for name, cluster in clusters.items():
        yield (name,), cluster.hedges.remaining(now)


def pool_connections(clusters: Mapping[str, Cluster], now: float) -> Readings:
    """Yield the number of connections, busy, idle or being opened, by cluster."""
    for name, cluster in clusters.items():
        pools = [member.pool for member in cluster.members]
        yield (name,), float(sum(pool.num_busy + pool.num_idle for pool in pools))


def pool_busy(clusters: Mapping[str, Cluster], now: float) -> Readings:
    """Yield the number of connections in use or being opened, by cluster."""
    for name, cluster in clusters.items():
        yield (name,), float(sum(member.pool.num_busy for member in cluster.members))


def pool_waiting(clusters: Mapping[str, Cluster], now: float) -> Readings:
    """Yield the number of requests that wait for a connection, by cluster."""
    for name, cluster in clusters.items():
        yield (name,), float(sum(member.pool.num_waiting for member in cluster.members))


class ReadGauge(Gauge):
    """A gauge whose series come and go: they are read when it is shown, at most `MAX_SERIES`."""

    def __init__(self, name: str, help_text: str, label: str, read: Callable[[], Readings], merge: Merge) -> None:
        super().__init__(name, help_text, (label,), merge)
        self._read = read

    def rows(self) -> Iterator[tuple[Labels, Sequence[float]]]:
        """Yield the number of each label."""
        self._values = dict(pair for pair, _ in zip(self._read(), range(MAX_SERIES), strict=False))
        yield from super().rows()


def register_gauges(
    registry: Registry, clusters: Callable[[], Mapping[str, Cluster]], now: Callable[[], float]
) -> None:
    """Register the gauges. `clusters` returns those in force, so that a reload is followed.

    Each worker has health of its own: of several the worst is shown. Connections are added up.
    """
    rows: tuple[tuple[str, str, str, Read, Merge], ...] = (
        ("headgate_breaker_state", "0 closed, 1 open, 2 half open, 3 ramping.", "target", breaker_states, max),
        ("headgate_ejected_members", "Endpoints ejected.", "cluster", ejected_members, max),
        ("headgate_healthy_members", "Endpoints not ejected, nor found bad.", "cluster", healthy_members, min),
        ("headgate_budget_remaining", "Retries left.", "cluster", budgets_remaining, add),
        ("headgate_hedge_budget_remaining", "Hedges left.", "cluster", hedges_remaining, add),
        ("headgate_pool_connections", "Connections to endpoints: busy and idle.", "cluster", pool_connections, add),
        ("headgate_pool_busy", "Connections in use or being opened.", "cluster", pool_busy, add),
        ("headgate_pool_waiting", "Requests that wait for a connection.", "cluster", pool_waiting, add),
    )
    for name, help_text, label, read, merge in rows:
        registry.register(ReadGauge(name, help_text, label, _bind(read, clusters, now), merge))


def _bind(
    read: Read, clusters: Callable[[], Mapping[str, Cluster]], now: Callable[[], float]
) -> Callable[[], Readings]:
    return lambda: read(clusters(), now())
