"""Whatever is written, loading it ends in a configuration or in problems with positions."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from headgate.proxy.config.dump import dump
from headgate.proxy.config.load import load
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.config.schema import Config
from headgate.proxy.config.schema_delivery import Cause
from headgate.proxy.config.section import Section
from headgate.proxy.config.units import (
    MAX_DURATION_S,
    RateValue,
    duration_text,
    parse_duration,
    parse_size,
    size_text,
)


class LimitSettings(Section):
    rate: RateValue
    burst: int = 1


class LimitOptions(Section):
    cost: int = 1


SCHEMAS = {
    "limit": PluginSchema("limit", LimitSettings, LimitOptions, frozenset({"ratelimit", "log"})),
    "plain": PluginSchema("plain", None, None, frozenset({"auth", "route", "aggregate"})),
}
ENVIRON = {"TOKEN": "secret-value"}


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for kind in (model, *model.__subclasses__()):
        yield from kind.model_fields
        if kind is not model:
            yield from _keys(kind)


KEYS = sorted({key for key in _keys(Section)} | {"use", "rate", "cost", "service"})
WORDS = [
    "service",
    "service/m",
    "limit",
    "plain",
    "/",
    "/{*rest}",
    "/{a",
    "GET",
    "10s",
    "64KiB",
    "5/s",
    "env:TOKEN",
    "sk-1",
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([*WORDS, "127.0.0.1:80", "http://a", "unix:/a", "head", "safe", "inference", "connect", "", " "]),
    st.text(max_size=8),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)


def _end_of(source: str | Path) -> Config | ConfigErrors:
    """Load; anything but a configuration or problems fails the test."""
    try:
        return load(source, SCHEMAS, ENVIRON)
    except ConfigErrors as errors:
        return errors


def _check_positions(errors: ConfigErrors, text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert errors.problems
    assert list(errors.problems) == sorted(errors.problems)
    for problem in errors.problems:
        assert problem.line >= 1 and problem.column >= 1
        assert problem.line <= len(lines) + 1
        assert "\n" not in str(problem)
        assert "secret-value" not in str(problem)


@given(values)
@settings(max_examples=150, deadline=None)
def test_any_value_is_read_or_refused_with_positions(value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, width=10_000)
    end = _end_of(text)
    if isinstance(end, ConfigErrors):
        _check_positions(end, text)


@given(st.text(max_size=200) | st.text(alphabet="ab:-[]{},&*<?!|>'\"%#\n\t \\0", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    assert isinstance(_end_of(text), ConfigErrors)


@given(st.binary(max_size=100))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "gate.yaml"
    file.write_bytes(data)
    assert isinstance(_end_of(file), ConfigErrors)


names = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
durations = st.integers(1, 86_400_000).map(lambda ms: ms / 1000)
sizes = st.integers(1024, 1 << 40)
whole = st.integers(1, 100)


@st.composite
def targets(draw: st.DrawFn, clusters: list[str]) -> list[Any]:
    one = st.sampled_from(clusters)
    target = st.one_of(
        one,
        st.builds("{}/{}".format, one, names),
        st.fixed_dictionaries({"cluster": one}, optional={"model": names, "weight": whole}),
    )
    found = draw(st.lists(target | st.lists(target, min_size=1, max_size=3), min_size=1, max_size=4))
    assume(len({who for who in map(_who, _flat(found))}) == len(_flat(found)))  # no target is its own fallback
    return found


def _flat(found: list[Any]) -> list[Any]:
    return [each for item in found for each in (item if isinstance(item, list) else [item])]


def _who(target: Any) -> tuple[str, str | None]:
    if isinstance(target, dict):
        return target["cluster"], target.get("model")
    cluster, slash, model = target.partition("/")
    return cluster, model if slash else None


@st.composite
def routes(draw: st.DrawFn, clusters: list[str], place: int) -> dict[str, Any]:
    span = durations.map(duration_text)
    # Paths differ in their first segment, so that no route takes all requests of another.
    match = {"path": f"/{place}/{draw(names)}" + draw(st.sampled_from(["", "/{id}", "/{*rest}"]))}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "kind": st.sampled_from(["http", "inference"]),
        "commit": st.sampled_from(["head", "first_event"]),
        "replay": st.sampled_from(["never", "idempotent", "safe"]),
        "read_model": st.booleans(),
        "deadline": st.integers(600_000, 86_400_000).map(lambda ms: duration_text(ms / 1000)),
        "hedge": st.fixed_dictionaries({"after": span}, optional={"max": st.integers(1, 5)}),
        "hold_back": st.sampled_from(["none", "complete"]) | span | whole.map("{} tokens".format),
        "hold_back_limit": sizes.map(size_text),
        "on_break": st.sampled_from(["resume", "error"]),
        "malformed": st.sampled_from(["break", "skip"]),
        "busy_wait": span,
        "replay_buffer": sizes.map(size_text),
        "body_limit": sizes,
        "max_attempts": whole,
        "retry": st.fixed_dictionaries({}, optional={"attempts": st.integers(1, 10), "backoff": span}),
        "fallback": st.fixed_dictionaries({"on": st.lists(st.sampled_from(get_args(Cause)), unique=True)}),
        "stages": st.just({"ratelimit": ["per_key"]}),
        "plugins": st.just({"per_key": {"cost": 3}}),
        "websocket": st.booleans(),
    }
    return draw(st.fixed_dictionaries({"match": st.just(match), "targets": targets(clusters)}, optional=optional))


def health(span: st.SearchStrategy[str]) -> dict[str, st.SearchStrategy[Any]]:
    """What a cluster may say of its health."""
    share = st.sampled_from([0, 0.1, 0.5, 1])
    part = {"interval": span, "timeout": span, "healthy": whole, "statuses": st.lists(st.integers(200, 599))}
    return {
        "health_check": st.fixed_dictionaries({}, optional=part),
        "outlier": st.fixed_dictionaries({}, optional={"failures": whole, "max_share": share, "panic": share}),
        "slow_start": span,
        "breaker": st.fixed_dictionaries(
            {"probes": st.lists(span, min_size=1, max_size=16)}, optional={"ramp_step": span}
        ),
        "retry_budget": st.fixed_dictionaries(
            {}, optional={"ratio": share, "floor": st.integers(0, 99), "window": span}
        ),
    }


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    clusters = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    num_routes = draw(st.integers(1, 4))
    span = durations.map(duration_text)
    short = st.integers(1, 60_000).map(lambda ms: duration_text(ms / 1000))  # all of them fit every deadline
    cluster = st.fixed_dictionaries(
        {"endpoints": st.just(["http://127.0.0.1:9000"])},
        optional={
            "timeouts": st.fixed_dictionaries({}, optional={"connect": short, "head": short, "first_event": short}),
            "credential": st.just("env:TOKEN"),
            "preserve_host": st.booleans(),
            **health(span),
        },
    )
    return {
        "listeners": [{"address": f"127.0.0.1:{8000 + place}"} for place in range(draw(st.integers(1, 3)))],
        "clusters": {name: draw(cluster) for name in clusters},
        "plugins": {"per_key": {"use": "limit", "rate": "5/s"}},
        "routes": [draw(routes(clusters, place)) for place in range(num_routes)],
        "drain": draw(span),
    }


@given(configs(), st.booleans(), st.booleans())
@settings(max_examples=30, deadline=None)
def test_valid_configuration_says_what_was_written(raw: dict[str, Any], is_flow: bool, is_sorted: bool) -> None:
    config = load(yaml.safe_dump(raw), SCHEMAS, ENVIRON)
    assert config == load(yaml.safe_dump(raw, default_flow_style=is_flow, sort_keys=is_sorted), SCHEMAS, ENVIRON)
    assert config.drain == parse_duration(raw["drain"])
    assert list(config.clusters) == sorted(raw["clusters"])
    assert "secret-value" not in repr(dump(config))
    for name, written in raw["clusters"].items():
        cluster = config.clusters[name]
        assert (cluster.health_check is not None) == ("health_check" in written)
        probes = written.get("breaker", {}).get("probes", ["10s", "20s", "30s"])
        assert list(cluster.breaker.probes) == [parse_duration(wait) for wait in probes]
        assert cluster.retry_budget.ratio == written.get("retry_budget", {}).get("ratio", 0.2)
    for written, route in zip(raw["routes"], config.routes, strict=True):
        is_inference = written.get("kind") == "inference"
        assert route.commit == written.get("commit", "first_event" if is_inference else "head")
        assert route.replay == written.get("replay", "safe" if is_inference else "idempotent")
        assert route.read_model == written.get("read_model", is_inference)
        assert route.deadline == parse_duration(written.get("deadline", "10m"))
        assert route.body_limit == written.get("body_limit", 4 << 20 if route.kind == "inference" else 64 << 20)
        assert [len(group) for group in route.targets] == [
            len(g) if isinstance(g, list) else 1 for g in written["targets"]
        ]
        assert ("per_key" in route.plugins) == ("plugins" in written)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))
    else:
        yield path


@given(configs(), st.data())
@settings(max_examples=40, deadline=None)
def test_one_wrong_value_is_found_at_its_own_place(raw: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in _leaves(raw) if path]))
    broken = copy.deepcopy(raw)
    parent = broken
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = {"zz": ["neither", "text", "nor", "number"]}
    text = yaml.safe_dump(broken)
    end = _end_of(text)
    assert isinstance(end, ConfigErrors)
    _check_positions(end, text)
    first, last = text[: text.index("zz:")].count("\n") + 1, text[: text.index("- number")].count("\n") + 1
    assert any(first - 1 <= problem.line <= last for problem in end.problems), str(end)


@given(st.integers(0, int(MAX_DURATION_S) * 1000).map(lambda ms: ms / 1000))
def test_duration_is_read_as_it_is_written(seconds: float) -> None:
    assert parse_duration(duration_text(seconds)) == seconds


@given(st.integers(0, 1 << 50))
def test_size_is_read_as_it_is_written(size: int) -> None:
    assert parse_size(size_text(size)) == size
