"""The plugin `canary`: who goes to a variant, and when a variant is taken out."""

from __future__ import annotations

import re
from collections import Counter
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headgate.plugins.canary import Canary
from headgate.plugins.canary.watch import Watch
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import ModelInfo, Setup
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.verdicts import Identity, Outcome, Route, Target

from .exchanges import make_exchange

OLD, NEW = Target("old"), Target("new")
STABLE = ((OLD,),)
TESTERS = {"keys": ["qa-*"]}


def make(known: dict[str, tuple[str, ...]] | None = None, **settings: Any) -> Canary:
    config = {"share": 100, "variants": {"next": {"targets": ["new"]}}, **settings}
    plugin = Canary(Canary.Config.model_validate(config))
    plugin.headgate_configure(Setup("canary", None, {key: ModelInfo(names) for key, names in (known or {}).items()}))
    return plugin


def asked(key: str | None = "ann", *fields: tuple[str, str], model: str | None = None) -> Exchange:
    exchange = make_exchange(*fields, identity=Identity(key, "acme") if key is not None else None, model=model)
    exchange.groups = STABLE
    return exchange


def went(plugin: Canary, exchange: Exchange) -> str | None:
    """The variant an exchange was sent to; None: to the stable targets."""
    route = plugin.headgate_route(exchange)
    assert route is None or route.groups[-1] == STABLE[0]
    return route.groups[0][0].cluster if route is not None else None


def outcome(target: str | None = "old", status: int = 200, error: str | None = None, **more: Any) -> Outcome:
    attempts = more.pop("attempts", 1)
    gone = more.pop("gone", False)
    return Outcome(status, error, "", target, attempts, False, None, 0, 0, 0.5, None, None, None, None, gone, **more)


def test_it_is_a_plugin_of_the_contract() -> None:
    kind = load_type("canary", EntryPoint("canary", "headgate.plugins.canary:Canary", "headgate.plugins"))
    assert kind.stages == {"route", "response_head", "log"}


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=6).map(sorted))
def test_raising_the_share_moves_nobody_out_and_nobody_between_variants(shares: list[int]) -> None:
    variants = {"a": {"targets": ["a"], "weight": 2}, "b": {"targets": ["b"]}}
    before: dict[str, str | None] = {}
    for share in shares:
        plugin = make(share=share / 100, variants=variants)
        now = {key: went(plugin, asked(key)) for key in map(str, range(200))}
        assert all(now[key] == variant for key, variant in before.items() if variant is not None)
        before = now


def test_shares_and_weights_are_what_they_say() -> None:
    plugin = make(share=20, variants={"a": {"targets": ["a"], "weight": 3}, "b": {"targets": ["b"]}})
    seen = Counter(went(plugin, asked(f"caller-{number}")) for number in range(10_000))
    # Five standard deviations of 10,000 draws.
    assert abs(seen["a"] - 1500) <= 179
    assert abs(seen["b"] - 500) <= 109
    assert seen.total() == 10_000


def test_a_caller_goes_to_the_same_variant_each_time_on_every_instance() -> None:
    settings: dict[str, Any] = {"share": 50, "variants": {"a": {"targets": ["a"]}, "b": {"targets": ["b"]}}}
    one, other = make(**settings), make(**settings)
    for key in map(str, range(100)):
        assert len({went(plugin, asked(key)) for plugin in (one, other, one)}) == 1


def test_another_salt_draws_others() -> None:
    one, other = make(share=50), make(share=50, salt="another")
    drawn = [[went(plugin, asked(str(number))) for number in range(100)] for plugin in (one, other)]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("share", [0, 100])
def test_nobody_and_everybody(share: int) -> None:
    plugin = make(share=share)
    assert {went(plugin, asked(str(number))) for number in range(100)} == {"new" if share else None}


def test_who_does_not_say_who_it_is_stays_with_the_stable_targets() -> None:
    assert went(make(), asked(None)) is None


def test_the_stable_targets_follow_unless_told_otherwise() -> None:
    plugin = make(variants={"next": {"targets": [["new", "new/b"], "newer"], "fallback": "none"}})
    route = plugin.headgate_route(asked())
    assert route == Route(((NEW, Target("new", "b")), (Target("newer"),)))
    assert make().headgate_route(asked()) == Route(((NEW,), *STABLE))


def test_a_route_is_the_same_object_each_time_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate.plugins.canary.plugin._MAX_ROUTES", 3)
    plugin = make()
    first = plugin.headgate_route(asked())
    assert plugin.headgate_route(asked()) is first
    for number in range(10):
        exchange = make_exchange(route=f"r{number}", identity=Identity("ann", "acme"))
        exchange.groups = STABLE
        assert plugin.headgate_route(exchange) == first
        assert len(plugin._variants["next"]._routes) <= 3
    exchange = asked()
    exchange.groups = ((Target("reloaded"),),)
    assert plugin.headgate_route(exchange) == Route(((NEW,), (Target("reloaded"),)))


def test_a_route_without_targets_of_its_own_has_those_of_the_model() -> None:
    plugin = make({"large": ("big",), "small": ()}, models=["large"])
    models = {"large": STABLE, "small": ((Target("small"),),)}

    def ask(model: str | None) -> Route | None:
        exchange = make_exchange(identity=Identity("ann", "acme"), model=model)
        exchange.models = models
        return plugin.headgate_route(exchange)

    assert ask("big") == ask("large") == Route(((NEW,), *STABLE), "large")
    assert (ask("small"), ask("nobody"), ask(None)) == (None, None, None)


def test_models_must_be_configured() -> None:
    with pytest.raises(ValueError, match="expected names under `models`, got `huge`"):
        make({"large": ()}, models=["huge"])


@pytest.mark.parametrize(
    ("key", "field", "wanted"),
    [
        ("qa-1", "next", "new"),
        ("qa-1", "stable", None),
        ("qa-1", "nobody", None),
        ("ann", "next", None),
        (None, "next", None),
    ],
)
def test_testers_choose(key: str | None, field: str, wanted: str | None) -> None:
    assert went(make(share=0, testers=TESTERS), asked(key, ("X-Canary", field))) == wanted


def test_nobody_chooses_where_no_testers_are_named() -> None:
    assert went(make(share=0), asked("qa-1", ("x-canary", "next"))) is None
    assert went(make(share=100, testers=TESTERS), asked("qa-1", ("x-canary", "stable"))) is None


def test_answer_and_log_tell_the_variant_where_it_is_wanted() -> None:
    plugin = make(response_field="x-variant", logged=True)
    for exchange, wanted in ((asked(), "next"), (asked(None), "stable")):
        response = Response(200)
        plugin.headgate_route(exchange)
        plugin.headgate_response_head(exchange, response)
        assert (response.fields.get("x-variant"), exchange.extra) == (wanted, {"canary": wanted})
    silent, exchange, response = make(), asked(), Response(200)
    silent.headgate_route(exchange)
    silent.headgate_response_head(exchange, response)
    assert (list(response.fields), exchange.extra) == ([], {})


@pytest.mark.parametrize(
    ("ended", "wanted"),
    [
        (outcome("new"), "ok"),
        (outcome("new", 404), "client_error"),
        (outcome("new", 500), "error"),
        (outcome("new", 200, "truncated"), "error"),
        (outcome("new", 200, "body_timeout"), "client_error"),
        (outcome(None, 502, "connect_failed"), "error"),
        (outcome("old"), "fallback"),
        (outcome("new", 499, "client_gone", gone=True), "gone"),
    ],
)
def test_exchanges_are_counted_by_how_they_ended(ended: Outcome, wanted: str) -> None:
    plugin, registry, exchange = make(), Registry(), asked()
    plugin.headgate_metrics(registry)
    plugin.headgate_log(make_exchange(), ended)  # one that was refused before the stage
    plugin.headgate_route(exchange)
    plugin.headgate_log(exchange, ended)
    shown = registry.render().decode()
    assert f'headgate_canary_requests_total{{plugin="canary",variant="next",outcome="{wanted}"}} 1' in shown
    assert shown.count("headgate_canary_requests_total") == 1
    assert 'headgate_canary_duration_seconds_count{plugin="canary",variant="next"} 1' in shown


STOP = {"above": 5, "requests": 10}


def play(plugin: Canary, key: str, ended: Outcome, *fields: tuple[str, str]) -> None:
    exchange = asked(key, *fields)
    plugin.headgate_route(exchange)
    plugin.headgate_log(exchange, ended)


def keys_of(plugin: Canary) -> tuple[str, str]:
    """A caller of the variant, and one of the stable targets."""
    seen = {went(plugin, asked(str(number))): str(number) for number in range(100)}
    return seen["new"], seen[None]


def test_a_variant_that_fails_too_often_is_taken_out() -> None:
    plugin, registry = make(share=50, stop=STOP, testers=TESTERS), Registry()
    plugin.headgate_metrics(registry)
    caller, other = keys_of(plugin)
    for _ in range(10):
        assert went(plugin, asked(caller)) == "new"
        play(plugin, caller, outcome("new", 500))
        play(plugin, other, outcome())
    assert went(plugin, asked(caller)) is None
    assert 'headgate_canary_stopped{plugin="canary",variant="next"} 1' in registry.render().decode()
    # Who tests it still may, and a new instance begins anew.
    assert went(plugin, asked("qa-1", ("x-canary", "next"))) == "new"
    assert went(make(share=50, stop=STOP), asked(caller)) == "new"


@pytest.mark.parametrize(
    ("of_variant", "of_stable"),
    [
        (outcome("new", 500), outcome("old", 500)),  # both are as bad
        (outcome("new", 404), outcome()),  # the clients' doing
        (outcome("new", 499, "client_gone", gone=True), outcome()),
        (outcome(None, 503, "overloaded", attempts=0), outcome()),  # no target was asked
    ],
)
def test_what_is_not_the_variants_fault_takes_it_out_never(of_variant: Outcome, of_stable: Outcome) -> None:
    plugin = make(share=50, stop=STOP)
    caller, other = keys_of(plugin)
    for _ in range(50):
        play(plugin, caller, of_variant)
        play(plugin, other, of_stable)
    assert went(plugin, asked(caller)) == "new"


def test_a_fallback_to_the_stable_targets_is_an_error_of_the_variant() -> None:
    plugin = make(share=50, stop=STOP)
    caller, other = keys_of(plugin)
    for _ in range(10):
        play(plugin, caller, outcome("old"))
        play(plugin, other, outcome())
    assert went(plugin, asked(caller)) is None


def test_what_testers_see_counts_for_nothing() -> None:
    plugin = make(share=50, stop=STOP, testers=TESTERS)
    caller, other = keys_of(plugin)
    for _ in range(50):
        play(plugin, "qa-1", outcome("new", 500), ("x-canary", "next"))
        play(plugin, other, outcome())
    assert went(plugin, asked(caller)) == "new"


def test_without_a_rule_nothing_is_taken_out() -> None:
    plugin = make(share=50)
    caller, other = keys_of(plugin)
    for _ in range(100):
        play(plugin, caller, outcome("new", 500))
        play(plugin, other, outcome())
    assert went(plugin, asked(caller)) == "new"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200), st.integers(1, 20), st.integers(0, 100))
def test_a_watch_is_its_definition(answers: list[tuple[bool, bool]], num: int, above: int) -> None:
    watch = Watch(above, num)
    window: list[tuple[bool, bool]] = []
    for is_variant, is_error in answers:
        window.append((is_variant, is_error))
        sides = [[error for variant, error in window if variant is side] for side in (False, True)]
        is_over = min(map(len, sides)) >= num
        excess = sum(sides[1]) / len(sides[1]) - sum(sides[0]) / len(sides[0]) if is_over else 0
        assert watch.add(is_variant=is_variant, is_error=is_error) is (is_over and excess > above / 100)
        if is_over:
            window.clear()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"share": 101}, "percentage"),
        ({"variants": {}}, "at least 1"),
        ({"variants": {"stable": {"targets": ["new"]}}}, "means no variant"),
        ({"variants": {"next": {"targets": []}}}, "at least 1"),
        ({"variants": {"next": {"targets": ["new"], "weight": 0}}}, "greater than or equal to 1"),
        ({"variants": {f"v{number}": {"targets": ["new"]} for number in range(17)}}, "at most 16"),
        ({"testers": {"keys": []}}, "at least 1"),
        ({"response_field": "x-headgate-variant"}, "belongs to the gateway"),
        ({"stop": {"above": 5, "requests": 1}}, "greater than or equal to 10"),
        ({"weights": {}}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        make(**settings)


def test_two_of_them_on_one_route_keep_their_callers_apart() -> None:
    first, second = make(share=50), make(share=50)
    second.headgate_configure(Setup("second", None, {}))
    exchange = asked(keys_of(first)[1])
    registry = Registry()
    for plugin in (first, second):
        plugin.headgate_metrics(registry)
        plugin.headgate_route(exchange)
    for plugin in (first, second):
        plugin.headgate_log(exchange, outcome())
    assert 'requests_total{plugin="canary",variant="stable"' in registry.render().decode()
    assert 'requests_total{plugin="second",' in registry.render().decode()


CONFIG = """
listeners: [{address: "127.0.0.1:0"}]
clusters:
  old: {endpoints: ["http://127.0.0.1:1"]}
  new: {endpoints: ["http://127.0.0.1:2"]}
plugins:
  canary:
    share: 5
    variants: {next: {targets: [NAME]}}
routes:
  - {match: {path: /}, targets: [old], stages: {route: [canary]}}
"""
SCHEMAS = {"canary": PluginSchema("canary", Canary.Config, None, frozenset({"route"}))}


def test_a_cluster_that_only_a_variant_names_is_used() -> None:
    assert check(CONFIG.replace("NAME", "new"), SCHEMAS, {}).warnings == ()


def test_a_cluster_that_is_none_is_told_with_its_place() -> None:
    with pytest.raises(ConfigErrors, match=re.escape("9:33: plugins.canary.variants.next.targets[0]")) as told:
        check(CONFIG.replace("NAME", "newer"), SCHEMAS, {})
    assert "did you mean `new`?" in str(told.value)
