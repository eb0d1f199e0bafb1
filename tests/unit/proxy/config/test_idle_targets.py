"""What is written about targets and clusters and does nothing: each is warned about at its own place."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from headgate.proxy.config.plugin_schema import PluginSchema

from .warned import ANY, CHAT, CLUSTERS, KEYED, NEVER, POST, warnings_of

ALONE = "got {}, no other target declares one, wanted a larger one there, or none here"
NO_LARGER = "got {}, the targets before declare as much, wanted more, or none"


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("{cluster: a, context: 8192}, b", [("0", ALONE, 8192)]),
        ("a, {cluster: b, context: 8192}", [("1", ALONE, 8192)]),
        ("{cluster: a, context: 9}, {cluster: b, context: 8}", [("1", NO_LARGER, 8)]),
        ("{cluster: a, context: 8}, b, {cluster: c, context: 8}", [("2", NO_LARGER, 8)]),
        (
            "{cluster: a, context: 9}, {cluster: b, context: 8}, {cluster: c, context: 7}",
            [("1", NO_LARGER, 8), ("2", NO_LARGER, 7)],
        ),
        ("[{cluster: a, context: 8}, {cluster: b, context: 8}]", [("0][1", NO_LARGER, 8)]),
        ("{cluster: a, context: 8}, {cluster: b, context: 9}", []),
        ("{cluster: a, context: 8}, {cluster: b, context: 7}, {cluster: c, context: 9}", []),
        ("{cluster: a, context: 8}, {cluster: b, context: 10}, {cluster: c, context: 9}", []),
        ("[{cluster: a, context: 9}, {cluster: b, context: 8}]", []),
        ("a, b, c", []),
    ],
)
def test_a_context_that_takes_no_part(targets: str, said: list[tuple[str, str, int]]) -> None:
    found = warnings_of(f"{CHAT}targets: [{targets}]")
    at = [f"routes[0].targets[{place}].context: {text.format(context)}" for place, text, context in said]
    assert [warning.partition(": ")[2] for warning in found] == at
    assert all(warning.startswith("9:") for warning in found)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (CHAT + "max_attempts: 1", "`max_attempts: 1` leaves no room for another target"),
        (CHAT + "replay: never", NEVER),
        (POST, KEYED),
    ],
)
def test_a_context_that_no_other_target_is_asked_after(options: str, reason: str) -> None:
    line = len(options.splitlines()) + 7
    targets = "{cluster: a, context: 8}, {cluster: b, context: 9}"
    assert warnings_of(f"{options.rstrip()}\ntargets: [{targets}, c]") == [
        f"{line}:{column}: routes[0].targets[{place}].context: {reason}, wanted otherwise, or no `context`"
        for place, column in enumerate((37, 63))
    ]


def test_a_context_of_a_model_is_looked_at_as_that_of_a_route(schemas: Mapping[str, PluginSchema]) -> None:
    more = "plugins: {model_route: {}}\nmodels:\n  auto:\n    targets:\n      - {cluster: a, context: 8}\n      - b"
    assert warnings_of(f"{CHAT}stages: {{route: [model_route]}}", more=more, plugins=schemas) == [
        f"15:31: models.auto.targets[0].context: {ALONE.format(8)}"
    ]


OTHER_API = "no path that it takes ends in `/chat/completions`, and only chats are continued from their text"
OTHER_PATHS = (
    "/v1/completions",
    "/completions",
    "/",
    "/chat/completions/",
    '"/{id}"',
    '"/chat/{id}/x"',
    '"/chats/{id}"',
)
CHAT_PATHS = ("/{*rest}", "/v1/{*rest}", "/chat/{*rest}", "/v1/chat/{what}", "/{what}/completions", "/{one}/{two}")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (ANY, "only answers of `kind: inference` are continued from their text"),
        (CHAT + "on_break: error", "`on_break: error` continues no answer"),
        (CHAT + "max_attempts: 1", "`max_attempts: 1` leaves no room to continue an answer"),
        (CHAT + "replay: never", NEVER),
        (CHAT, ""),
        *[(CHAT.replace("/v1/chat/completions", path), OTHER_API) for path in OTHER_PATHS],
        *[(CHAT.replace("/v1/chat/completions", f'"{path}"'), "") for path in CHAT_PATHS],
    ],
)
def test_a_prefill_that_nobody_asks_for(options: str, reason: str) -> None:
    place = len(options.splitlines())
    found = warnings_of(f"{options.rstrip()}\ntargets: [a, {{cluster: b, prefill: plain}}]")
    at = f"{place + 7}:40: routes[0].targets[1].prefill"
    assert found == ([f"{at}: {reason}, wanted otherwise, or no `prefill`"] if reason else [])


def timed(name: str, timeouts: str) -> str:
    endpoints = '["http://10.0.0.1:1", "http://10.0.0.2:1"]'
    return f"  {name}: {{endpoints: {endpoints}, timeouts: {{{timeouts}}}}}\n"


def test_a_timeout_that_no_deadline_leaves_room_for() -> None:
    clusters = timed("a", "head: 10m") + timed("b", "idle: 11m, first_event: 10m, connect: 599s") + timed("c", "")
    assert warnings_of(f"{ANY}targets: [a]\ndeadline: 599s", clusters=clusters.replace("head: 10m", "head: 598s")) == [
        "4:79: clusters.b.timeouts.idle: got 11m, no route that leads here has a deadline beyond 10m, "
        "wanted less than that",
        "4:97: clusters.b.timeouts.first_event: got 10m, no route that leads here has a deadline beyond 10m, "
        "wanted less than that",
    ]
    assert warnings_of(f"{ANY}targets: [d]\ndeadline: 601s", clusters=CLUSTERS + timed("d", "head: 10m")) == []


def test_a_timeout_is_held_against_the_routes_that_a_plugin_may_lead_there(
    schemas: Mapping[str, PluginSchema],
) -> None:
    clusters = timed("a", "idle: 15m") + timed("b", "idle: 15m") + timed("c", "idle: 15m")
    more = "plugins: {model_route: {}}\nmodels: {auto: {targets: [a]}}"
    by_model = f"{CHAT}deadline: 20m\nstages: {{route: [model_route]}}"
    found = warnings_of(by_model, clusters=clusters, more=more, plugins=schemas)
    assert [warning.split()[1] for warning in found] == ["clusters.b.timeouts.idle:", "clusters.c.timeouts.idle:"]
    both = f"{by_model}\ntargets: [b]"
    assert [warning.split()[1] for warning in warnings_of(both, clusters=clusters, more=more, plugins=schemas)] == [
        "clusters.c.timeouts.idle:"
    ]
    anywhere = f"{CHAT}deadline: 20m\nstages: {{route: [model_route], aggregate: [model_route]}}"
    assert warnings_of(anywhere, clusters=clusters, more=more, plugins=schemas) == []


def test_what_a_plugin_may_choose_is_not_called_a_lone_target(schemas: Mapping[str, PluginSchema]) -> None:
    route = f"{CHAT}stages: {{STAGE: [model_route]}}\nfallback: {{on: [connect]}}\nhedge: {{after: 122s}}"
    one = "plugins: {model_route: {}}\nmodels: {auto: {targets: [a]}, lite: {targets: [b]}}"
    two = one.replace("[b]", "[b, c]")
    by_model = route.replace("STAGE", "route")
    alone = "10:15: routes[0].fallback: there is no other target, wanted a second one, or no `fallback`"
    late = "11:20: routes[0].hedge.after: got 122s, `{}` is given up after 122s{}, wanted less than that"
    assert warnings_of(by_model, more=one, plugins=schemas) == [alone, late.format("a", ", `b` is given up after 122s")]
    assert len(warnings_of(by_model, more=two, plugins=schemas)) == 1
    assert warnings_of(route.replace("STAGE", "aggregate") + "\ntargets: [a]", more=two, plugins=schemas) == [
        "15:9: models: no route has a plugin in its stage `route` that could lead here"
    ]


def test_health_that_needs_another_endpoint() -> None:
    clusters = (
        CLUSTERS
        + """\
  d: {endpoints: ["http://10.0.0.7:1"], outlier: {failures: 5}, slow_start: 5s}
  e: {endpoints: ["http://10.0.0.8:1", "http://10.0.0.9:1"], outlier: {max_share: 0, failures: 5}}
  f: {endpoints: ["http://10.0.0.10:1"], breaker: {ramp: [], ramp_step: 5s}, slow_start: 0, health_check: {}}
  g: {endpoints: ["http://10.0.0.11:1", "http://10.0.0.12:1"], outlier: {max_share: 0}, slow_start: 5s}
"""
    )
    assert warnings_of(f"{ANY}targets: [d, e, f, g]", clusters=clusters) == [
        "6:50: clusters.d.outlier: the only endpoint is never left out, wanted another endpoint, "
        "or `breaker` in its place",
        "6:77: clusters.d.slow_start: the only endpoint always has the whole share, wanted another endpoint, "
        "or no `slow_start`",
        "7:83: clusters.e.outlier.max_share: got 0, no endpoint is ever left out, wanted more for the rest to count",
        "8:73: clusters.f.breaker.ramp_step: `ramp` has no steps, wanted some, or no `ramp_step`",
    ]


@pytest.mark.parametrize("budget", ["ratio: 0, floor: 0", "ratio: 0, floor: 0.5, window: 1s"])
def test_retries_that_no_budget_allows(budget: str) -> None:
    none = "".join(f'  {name}: {{endpoints: ["http://{name}"], retry_budget: {{{budget}}}}}\n' for name in "de")
    written = "retry: {attempts: 3}\nbusy_wait: 2s"
    wanted = "wanted `ratio` or `floor` above 0 there"
    assert warnings_of(f"{ANY}targets: [d, e]\n{written}", clusters=CLUSTERS + none) == [
        f"11:12: routes[0].retry: the `retry_budget` of `d`, `e` allows none, {wanted}, or `attempts: 1`",
        f"12:16: routes[0].busy_wait: the `retry_budget` of `d`, `e` allows none, {wanted}, or `busy_wait: 0`",
    ]
    assert warnings_of(f"{ANY}targets: [d, a]\n{written}", clusters=CLUSTERS + none.splitlines()[0]) == []
    assert warnings_of(f"{ANY}targets: [d, e]", clusters=CLUSTERS + none) == []
    some = none.replace("floor: 0", "floor: 1").replace("floor: 1.5", "floor: 1")
    assert warnings_of(f"{ANY}targets: [d, e]\n{written}", clusters=CLUSTERS + some) == []


def test_only_so_many_clusters_are_named() -> None:
    names = [f"x{number}" for number in range(5)]
    clusters = CLUSTERS + "".join(f'  {name}: {{endpoints: ["http://{name}"]}}\n' for name in names)
    (said,) = warnings_of(
        f"{CHAT}targets: [{', '.join(names)}]\nhedge: {{after: 2m}}\ndeadline: 2m", clusters=clusters
    )[:1]
    assert "the deadline (2m) comes first" in said
    (said,) = warnings_of(
        f"{CHAT}targets: [[{', '.join(names)}]]\nhedge: {{after: 122s}}\nfallback: {{on: [status]}}", clusters=clusters
    )
    assert said.count("is given up") == 3 and " and 2 more, wanted" in said
