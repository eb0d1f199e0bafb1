"""What contradicts itself in how hard a route tries: time that cannot be had, and ways that lead back."""

from __future__ import annotations

from collections.abc import Iterator

from ..verdicts import Target
from .addresses import EndpointUrl
from .schema import Config
from .schema_route import RouteConfig
from .units import duration_text
from .wording import Path

Finding = tuple[Path, str]
Groups = tuple[tuple[Target, ...], ...]


def find_delivery_conflicts(config: Config) -> Iterator[Finding]:
    """Yield what cannot be meant. Cost: linear in the targets of all routes and models."""
    for place, route in enumerate(config.routes):
        yield from _repeated_targets(("routes", place), route.to_groups())
        yield from _overrun(("routes", place), route, config)
    for name, model in config.models.items():
        yield from _repeated_targets(("models", name), model.to_groups())
    yield from _loops(config)


def _repeated_targets(at: Path, groups: Groups) -> Iterator[Finding]:
    """A target that failed is not another one to fall back to."""
    first: dict[tuple[str, str | None], int] = {}
    for place, group in enumerate(groups):
        for target in group:
            key = (target.cluster, target.model)
            if key in first:
                message = f"`{target.name}` is asked in targets[{first[key]}] already, wanted each target once"
                yield (*at, "targets", place), message
            first.setdefault(key, place)


def _overrun(at: Path, route: RouteConfig, config: Config) -> Iterator[Finding]:
    """Timeouts that were written down must fit the deadline that was; those that were not are cut to fit."""
    if "deadline" not in route.model_fields_set:
        return
    names = dict.fromkeys(target.cluster for group in route.to_groups() for target in group)
    total_s = sum(_written_s(route, config, name) for name in names)
    if total_s > route.deadline:
        message = (
            f"the timeouts of {', '.join(f'`{name}`' for name in names)} add up to {duration_text(total_s)}, "
            f"wanted a deadline of at least that, or shorter timeouts"
        )
        yield (*at, "deadline"), message


def _written_s(route: RouteConfig, config: Config, name: str) -> float:
    if name not in config.clusters:
        return 0.0
    timeouts = config.clusters[name].timeouts
    phases = ("connect", "head", "first_event") if route.commit == "first_event" else ("connect", "head")
    return sum(float(getattr(timeouts, phase)) for phase in phases if phase in timeouts.model_fields_set)


def _loops(config: Config) -> Iterator[Finding]:
    """A request to an address of our own would come back as another request, without end."""
    own = {(listener.address.host, listener.address.port): place for place, listener in enumerate(config.listeners)}
    for name, cluster in config.clusters.items():
        for number, endpoint in enumerate(cluster.endpoints):
            place = _own_listener(endpoint, own)
            if place is not None:
                message = f"`{endpoint}` is listeners[{place}] of this gateway, wanted the address of a service"
                yield ("clusters", name, "endpoints", number), message


def _own_listener(endpoint: EndpointUrl, own: dict[tuple[str, int], int]) -> int | None:
    if not endpoint.port:
        return None
    hosts = [endpoint.host, *(("0.0.0.0", "::", "localhost") if endpoint.is_loopback else ())]
    return next((own[host, endpoint.port] for host in hosts if (host, endpoint.port) in own), None)
