"""What a configuration does with one request, without serving it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...ext.route_table import RouteTable, normalize_path
from ..verdicts import Target
from .explain_policy import policy_lines
from .feasible import MODEL_ROUTE, may_be_resent
from .schema import Config
from .schema_route import RouteConfig
from .worst_case import WorstCase, worst_case

Groups = tuple[tuple[Target, ...], ...]


@dataclass(frozen=True, slots=True)
class ExplainedTarget:
    """A target in the order of trying: `group` counts from 1, `share` is how often it is first in its group."""

    group: int
    share: float
    name: str
    model: str | None
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happens to one request. Where it is refused, `error` names the kind of answer and `reason` says why.

    `policy` says how hard its route tries, as pairs of a name and a text.
    """

    error: str | None = None
    reason: str = ""
    route: RouteConfig | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    model: str | None = None
    targets: tuple[ExplainedTarget, ...] = ()
    may_resend: bool = False
    worst: WorstCase | None = None
    policy: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def explain(
    config: Config, method: str, path: str, headers: Mapping[str, str] | None = None, model: str | None = None
) -> Explanation:
    """Say what would happen to a request. The host is the `host` among `headers`; a query in `path` plays no part."""
    fields = {name.lower(): value for name, value in (headers or {}).items()}
    host, raw = fields.get("host", ""), path.partition("?")[0]
    table = RouteTable([route.to_spec() for route in config.routes])
    found = table.match(host, raw, method, fields)
    if found is None:
        return _unmatched(table, host, raw, method)
    route = config.routes[found.index]
    stages = config.plugins_of(route)
    try:
        groups, model, notes = _groups_of(config, route, model)
    except _Refused as refused:
        return Explanation(refused.kind, refused.reason, route, found.params, stages, model)
    has_key = "idempotency-key" in fields
    may_resend = may_be_resent(route, method, has_key=has_key)
    worst = worst_case(route, groups, config.clusters, method, has_key=has_key)
    return Explanation(
        route=route,
        params=found.params,
        stages=stages,
        model=model,
        targets=_explained(groups, config),
        may_resend=may_resend,
        worst=worst,
        policy=policy_lines(route, groups, config.clusters, worst, may_resend=may_resend),
        notes=notes,
    )


def render(explanation: Explanation) -> str:
    """Write an explanation for people, one fact a line."""
    lines: list[tuple[str, str]] = []
    route = explanation.route
    if route is not None:
        lines.append(("route", f"{route.name} ({route.kind}, {route.match.path})"))
        lines += [("parameter", f"{name} = {value}") for name, value in explanation.params.items()]
        lines += [(f"stage {stage}", ", ".join(names)) for stage, names in explanation.stages.items()]
    if explanation.error is not None:
        return _aligned([*lines, ("answer", f"{explanation.error}: {explanation.reason}")])
    if explanation.model is not None:
        lines.append(("model", explanation.model))
    lines += [("target", _target_text(target)) for target in explanation.targets]
    lines += explanation.policy
    return _aligned([*lines, *(("note", note) for note in explanation.notes)])


def render_routes(config: Config) -> str:
    """Write all routes as a table: for one host and path in the order in which they are asked."""
    header = ("ROUTE", "HOSTS", "PATH", "METHODS", "HEADERS", "PRIORITY", "KIND", "TARGETS")
    return _table([header, *(_route_row(route) for route in sorted(config.routes, key=_route_order))])


def _unmatched(table: RouteTable, host: str, path: str, method: str) -> Explanation:
    if not path.startswith("/"):
        return Explanation("bad_request", "the path does not begin with `/`")
    if normalize_path(path) is None:
        return Explanation("bad_request", "the path is ambiguous: empty or dot segments, or encoded separators")
    allowed = table.allowed_methods(host, path)
    if allowed and method not in allowed:
        return Explanation("method_not_allowed", f"{method} is not among {', '.join(sorted(allowed))}")
    if allowed:
        return Explanation("route_not_found", "host, path and method match, the header fields do not")
    return Explanation("route_not_found", f"no route matches host {host or '(none)'} and path {path}")


class _Refused(Exception):
    """A route plugin refuses the request: kind of answer, and why."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        self.reason = reason


def _groups_of(config: Config, route: RouteConfig, model: str | None) -> tuple[Groups, str | None, tuple[str, ...]]:
    """Return the targets, the model by its own name, and notes. Raises: _Refused."""
    names = config.plugins_of(route)
    by_model = [name for name in names.get("route", ()) if config.plugins[name].use == MODEL_ROUTE]
    others = [name for name in names.get("route", ()) if name not in by_model]
    notes = [f"the plugin `{name}` may choose other targets" for name in others]
    notes += [f"the plugin `{name}` may answer in place of the targets" for name in names.get("aggregate", ())]
    if not by_model:
        return route.to_groups(), model, tuple(notes)
    asked = model if model is not None else getattr(config.plugins[by_model[0]].settings, "default", None)
    if asked is None:
        raise _Refused("bad_body", f"the plugin `{by_model[0]}` chooses by `model`, and none is given")
    known = _model_named(config, asked)
    if known is None:
        raise _Refused("model_not_found", f"the model `{asked}` is not under `models`")
    return config.models[known].to_groups(), known, tuple(notes)


def _model_named(config: Config, name: str) -> str | None:
    if name in config.models:
        return name
    return next((known for known, model in config.models.items() if name in model.aliases), None)


def _explained(groups: Groups, config: Config) -> tuple[ExplainedTarget, ...]:
    return tuple(
        ExplainedTarget(
            group=place,
            share=target.weight / sum(member.weight for member in group),
            name=target.name,
            model=target.model,
            endpoints=tuple(str(endpoint) for endpoint in config.clusters[target.cluster].endpoints),
        )
        for place, group in enumerate(groups, 1)
        for target in group
    )


def _target_text(target: ExplainedTarget) -> str:
    share = "" if target.share == 1 else f" {target.share:.1%} of group"
    return f"{target.group}.{share} {target.name} at {', '.join(target.endpoints)}"


def _route_order(route: RouteConfig) -> tuple[object, ...]:
    """Order as the route table does: host, path segment by segment (literal, parameter, rest), priority, conditions."""
    match = route.match
    hosts = tuple((host.startswith("*"), -len(host), host) for host in match.hosts)
    segments = tuple((_rank(segment), segment if _rank(segment) == 0 else "") for segment in match.path.split("/"))
    return not hosts, hosts, segments, -match.priority, -(len(match.headers) + bool(match.methods))


def _rank(segment: str) -> int:
    return 2 if segment.startswith("{*") else 1 if segment.startswith("{") else 0


def _route_row(route: RouteConfig) -> tuple[str, ...]:
    match = route.match
    rules = [_rule_text(route, name) for name in match.headers]
    groups = ["|".join(target.name for target in group) for group in route.to_groups()]
    return (
        route.name,
        ",".join(match.hosts) or "*",
        match.path,
        ",".join(match.methods) or "*",
        ",".join(rules) or "-",
        str(match.priority),
        route.kind,
        " > ".join(groups) or "-",
    )


def _rule_text(route: RouteConfig, name: str) -> str:
    rule = route.match.headers[name]
    if rule.exact is not None:
        return f"{name}={rule.exact}"
    if rule.prefix is not None:
        return f"{name}={rule.prefix}…"
    return name if rule.present else f"!{name}"


def _aligned(lines: list[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
