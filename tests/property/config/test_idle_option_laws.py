"""Warnings have a place in the file, and are about what makes no difference."""

from __future__ import annotations

import copy
import re
from typing import Any

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from headgate.proxy.config.explain import explain, render
from headgate.proxy.config.load import Checked, check
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.config.units import duration_text

from .test_load_laws import ENVIRON, SCHEMAS, configs

METHODS = ["GET", "POST"]
# Options that are called idle as a whole: without them everything is as it was.
WHOLE = re.compile(r"routes\[(\d+)\]\.(retry|fallback|hedge|busy_wait|on_break|malformed|hold_back_limit)")
OF_TARGET = re.compile(r"routes\[(\d+)\]\.targets\[(\d+)\](?:\[(\d+)\])?\.(context|prefill)")
PATHS = ["", "/chat/completions", "/completions", "/chat/{id}"]
OFFERED = re.compile(r", or no |, or `on_break: error`")  # others say that a value is odd, not that it does nothing
spans = st.integers(1, 120_000).map(lambda ms: duration_text(ms / 1000))
TIGHT: dict[str, st.SearchStrategy[Any]] = {
    "deadline": spans,
    "max_attempts": st.integers(1, 3),
    "replay": st.sampled_from(["never", "idempotent", "safe"]),
    "replay_buffer": st.sampled_from([0, "1KiB"]),
    "hedge": st.fixed_dictionaries({"after": spans}, optional={"max": st.integers(1, 5)}),
    "hold_back": st.sampled_from(["1 token", "99999 tokens", "complete"]) | spans,
    "hold_back_limit": st.sampled_from([1, "16KiB"]),
    "busy_wait": st.sampled_from(["0s", "2s"]),
    "retry": st.fixed_dictionaries({}, optional={"attempts": st.integers(1, 4), "backoff": spans}),
    "fallback": st.sampled_from([{"on": ["connect"]}, {"on": ["status", "silent"]}, {"on": []}, {}]),
    "on_break": st.sampled_from(["resume", "error"]),
    "malformed": st.sampled_from(["break", "skip"]),
}


@st.composite
def tight_configs(draw: st.DrawFn) -> dict[str, Any]:
    """Configurations whose options stand in each other's way more often than any person's would."""
    raw = draw(configs())
    for route in raw["routes"]:
        for name in draw(st.lists(st.sampled_from(sorted(TIGHT)), unique=True)):
            route[name] = draw(TIGHT[name])
        if draw(st.booleans()):
            route["match"]["methods"] = draw(st.lists(st.sampled_from(METHODS), unique=True))
        route["match"]["path"] = route["match"]["path"].partition("/{")[0] + draw(st.sampled_from(PATHS))
        if draw(st.booleans()):
            route["targets"] = [_declaring(item, draw) for item in route["targets"]]
        if draw(st.booleans()):
            route["stages"] = {draw(st.sampled_from(["route", "aggregate"])): ["other"]}
            route.pop("plugins", None)
    raw["plugins"]["other"] = {"use": "plain"}
    for cluster in raw["clusters"].values():
        if draw(st.booleans()):
            cluster["timeouts"] = {"idle": draw(spans)}
        if draw(st.booleans()):
            cluster["endpoints"] = ["http://127.0.0.1:9000", "http://127.0.0.1:9001"]
    return raw


def _declaring(item: Any, draw: st.DrawFn) -> Any:
    if isinstance(item, list):
        return [_declaring(each, draw) for each in item]
    declared: dict[str, Any] = draw(st.sampled_from([{}, {"context": 8}, {"context": 9}, {"prefill": "plain"}]))
    if not declared or isinstance(item, dict):
        return {**item, **declared} if declared else item
    cluster, slash, model = item.partition("/")
    return {"cluster": cluster, **declared, **({"model": model} if slash else {})}


def _checked(text: str) -> Checked:
    try:
        return check(text, SCHEMAS, ENVIRON)
    except ConfigErrors:  # a deadline that is shorter than timeouts that were written down
        assume(False)
        raise


def _told(checked: Checked, place: int) -> list[str]:
    """What is told about requests to one route, by each of the methods that it takes."""
    route = checked.config.routes[place]
    path = re.sub(r"\{.*?\}", "x", route.match.path)
    found = [explain(checked.config, method, path) for method in route.match.methods or METHODS]
    assert all(each.route is not None and each.route.name == route.name for each in found)
    return [render(each) for each in found]


slow = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(tight_configs(), st.booleans())
@slow
def test_every_warning_has_a_place_inside_the_file(raw: dict[str, Any], is_flow: bool) -> None:
    text = yaml.safe_dump(raw, default_flow_style=is_flow)
    checked = _checked(text)
    lines = text.split("\n")
    assert list(checked.warnings) == sorted(checked.warnings)
    assert len({(warning.path, warning.message) for warning in checked.warnings}) == len(checked.warnings)
    for warning in checked.warnings:
        assert 1 <= warning.line <= len(lines), warning
        assert 1 <= warning.column <= len(lines[warning.line - 1]), warning
        assert warning.path and "\n" not in str(warning) and "secret-value" not in str(warning)
    for place in range(len(checked.config.routes)):
        assert all(_told(checked, place))


@given(tight_configs())
@slow
def test_what_is_called_idle_can_be_left_out(raw: dict[str, Any]) -> None:
    checked = _checked(yaml.safe_dump(raw))
    for warning in checked.warnings:
        found = WHOLE.fullmatch(warning.path) or OF_TARGET.fullmatch(warning.path)
        if found is None or not OFFERED.search(warning.message):
            continue
        place, name = int(found[1]), found[found.re.groups]
        without = copy.deepcopy(raw)
        holder = without["routes"][place]
        if found.re is OF_TARGET:
            item = holder["targets"][int(found[2])]
            holder = item[int(found[3])] if found[3] else item
        del holder[name]
        assert _told(check(yaml.safe_dump(without), SCHEMAS, ENVIRON), place) == _told(checked, place), str(warning)
