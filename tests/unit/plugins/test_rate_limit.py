"""The plugin `rate_limit`: whom it counts together, and what it tells them."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from headgate.plugins.rate_limit import RateLimit
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import ModelInfo, Setup
from headgate.proxy.verdicts import Identity, Reject, Reservation

from .exchanges import make_exchange

ANN = Identity("ann-1", "acme")
BOB = Identity("bob-1", "acme")
EVE = Identity("eve-1", "evil")


def make(name: str = "rate_limit", models: dict[str, tuple[str, ...]] | None = None, **settings: Any) -> RateLimit:
    plugin = RateLimit(RateLimit.Config.model_validate({"rate": "10/s", "burst": 2, **settings}))
    plugin.headgate_configure(Setup(name, None, {key: ModelInfo(names) for key, names in (models or {}).items()}))
    return plugin


def counts_together(plugin: RateLimit, one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a second kind of request is refused once the first has used everything up."""
    while isinstance(plugin.headgate_ratelimit(make_exchange(**one)), Reservation):
        pass
    return isinstance(plugin.headgate_ratelimit(make_exchange(**other)), Reject)


def test_it_is_a_plugin_of_the_contract() -> None:
    kind = load_type(
        "rate_limit", EntryPoint("rate_limit", "headgate.plugins.rate_limit:RateLimit", "headgate.plugins")
    )
    assert kind.stages == {"ratelimit"}
    assert kind.config is RateLimit.Config
    assert kind.route_options is RateLimit.RouteOptions


def test_good_answers_tell_what_is_left() -> None:
    plugin = make()
    verdicts = [plugin.headgate_ratelimit(make_exchange(identity=ANN)) for _ in range(2)]
    assert verdicts == [
        Reservation(fields=(("RateLimit-Policy", '"rate_limit";q=2;w=1'), ("RateLimit", '"rate_limit";r=1;t=1'))),
        Reservation(fields=(("RateLimit-Policy", '"rate_limit";q=2;w=1'), ("RateLimit", '"rate_limit";r=0;t=1'))),
    ]


def test_a_refusal_tells_when_to_come_back() -> None:
    now = 1000.0
    plugin = make(name="slow", rate="2/m", burst=3, by=["key"])
    for _ in range(3):
        assert isinstance(plugin.headgate_ratelimit(make_exchange(identity=ANN, now=lambda: now)), Reservation)
    now = 1010.5
    verdict = plugin.headgate_ratelimit(make_exchange(identity=ANN, now=lambda: now))
    assert verdict == Reject(
        "rate_limited",
        detail="slow: by key",
        fields=(
            ("Retry-After", "20"),  # 19.5 s
            ("RateLimit-Policy", '"slow";q=3;w=90'),
            ("RateLimit", '"slow";r=0;t=20'),
        ),
    )
    now = 1030.0
    assert isinstance(plugin.headgate_ratelimit(make_exchange(identity=ANN, now=lambda: now)), Reservation)


def test_the_advertised_rate_is_never_above_the_limit() -> None:
    verdict = make(rate="7/s", burst=10).headgate_ratelimit(make_exchange(identity=ANN))
    assert verdict is not None
    assert verdict.fields[0] == ("RateLimit-Policy", '"rate_limit";q=10;w=2')  # 5/s, and not 10/s


def test_without_a_burst_it_is_the_number_of_the_rate() -> None:
    verdict = make(rate="100/m", burst=None).headgate_ratelimit(make_exchange(identity=ANN))
    assert verdict is not None
    assert verdict.fields[0] == ("RateLimit-Policy", '"rate_limit";q=100;w=60')


SAME: list[tuple[list[str], dict[str, Any], dict[str, Any]]] = [
    (["key"], {"identity": ANN}, {"identity": ANN, "client": "192.0.2.9", "route": "other", "model": "lite"}),
    (["tenant"], {"identity": ANN}, {"identity": BOB}),
    (["address"], {"identity": ANN}, {"identity": BOB}),
    (["address"], {"client": "2001:db8::1"}, {"client": "2001:db8::2"}),
    (["route"], {"identity": ANN}, {"identity": EVE, "client": "192.0.2.9"}),
    (["model"], {"model": "lite"}, {"model": "lite", "identity": EVE}),
    (["key", "model"], {"identity": ANN, "model": "lite"}, {"identity": ANN, "model": "lite", "route": "other"}),
    (["key"], {"identity": None}, {"identity": None, "route": "other"}),
    (["tenant", "key"], {"identity": None}, {"identity": None}),
]


@pytest.mark.parametrize(("by", "one", "other"), SAME)
def test_these_are_counted_together(by: list[str], one: dict[str, Any], other: dict[str, Any]) -> None:
    assert counts_together(make(by=by), one, other)


APART: list[tuple[list[str], dict[str, Any], dict[str, Any]]] = [
    (["key"], {"identity": ANN}, {"identity": BOB}),
    (["tenant"], {"identity": ANN}, {"identity": EVE}),
    (["address"], {"client": "192.0.2.1"}, {"client": "192.0.2.2"}),
    (["route"], {"route": "chat"}, {"route": "files"}),
    (["model"], {"model": "lite"}, {"model": "heavy"}),
    (["model"], {"model": "lite"}, {"model": None}),
    (["key", "model"], {"identity": ANN, "model": "lite"}, {"identity": ANN, "model": "heavy"}),
    (["key", "route"], {"identity": ANN, "route": "chat"}, {"identity": ANN, "route": "files"}),
    (["key"], {"identity": None, "client": "192.0.2.1"}, {"identity": None, "client": "192.0.2.2"}),
    (["key"], {"identity": None}, {"identity": ANN}),
    (["tenant"], {"identity": None}, {"identity": Identity("192.0.2.1", "192.0.2.1")}),
]


@pytest.mark.parametrize(("by", "one", "other"), APART)
def test_these_are_counted_apart(by: list[str], one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not counts_together(make(by=by), one, other)


def test_an_alias_or_an_invented_name_is_no_second_helping() -> None:
    models = {"lite": ("small", "cheap"), "heavy": ()}
    for one, other in (("lite", "small"), ("cheap", "small"), ("no such", "nor such")):
        assert counts_together(make(by=["model"], models=models), {"model": one}, {"model": other})
    assert not counts_together(make(by=["model"], models=models), {"model": "small"}, {"model": "heavy"})
    assert counts_together(make(by=["model"]), {"model": "a" * 201}, {"model": "b" * 201})


def options(**more: Any) -> dict[str, object]:
    return {"rate_limit": RateLimit.RouteOptions.model_validate(more)}


def test_a_route_sets_its_cost() -> None:
    plugin = make(burst=5)
    dear = plugin.headgate_ratelimit(make_exchange(identity=ANN, options=options(cost=4)))
    assert dear is not None
    assert dear.fields[1] == ("RateLimit", '"rate_limit";r=1;t=1')
    # The same bucket: a route that only costs more is no limit of its own.
    assert isinstance(plugin.headgate_ratelimit(make_exchange(identity=ANN, route="other")), Reservation)
    refused = plugin.headgate_ratelimit(make_exchange(identity=ANN, options=options(cost=4)))
    assert isinstance(refused, Reject)
    assert refused.fields[0] == ("Retry-After", "1")


def test_a_route_sets_its_own_limit() -> None:
    plugin = make()
    own = options(rate="1/s", burst=1)
    for _ in range(2):
        assert isinstance(plugin.headgate_ratelimit(make_exchange(identity=ANN)), Reservation)
    verdict = plugin.headgate_ratelimit(make_exchange(identity=ANN, route="own", options=own))
    assert verdict == Reservation(
        fields=(("RateLimit-Policy", '"rate_limit/own";q=1;w=1'), ("RateLimit", '"rate_limit/own";r=0;t=1'))
    )
    assert isinstance(plugin.headgate_ratelimit(make_exchange(identity=ANN, route="own", options=own)), Reject)
    assert isinstance(plugin.headgate_ratelimit(make_exchange(identity=ANN, route="own2", options=own)), Reservation)


def test_a_rate_alone_keeps_the_burst_and_a_burst_alone_the_rate() -> None:
    plugin = make(rate="10/s", burst=4)
    cases = (("rate", "2/s", '"rate_limit/rate";q=4;w=2'), ("burst", 20, '"rate_limit/burst";q=20;w=2'))
    for name, value, policy in cases:
        verdict = plugin.headgate_ratelimit(make_exchange(route=name, options=options(**{name: value})))
        assert verdict is not None
        assert verdict.fields[0][1] == policy
    verdict = make(burst=None).headgate_ratelimit(make_exchange(options=options(rate="3/s")))
    assert verdict is not None
    assert verdict.fields[0][1] == '"rate_limit/chat";q=3;w=2'


def test_a_cost_above_the_burst_is_refused_without_a_time_to_come_back() -> None:
    verdict = make(burst=2).headgate_ratelimit(make_exchange(identity=ANN, options=options(cost=3)))
    assert isinstance(verdict, Reject)
    assert verdict.detail == "rate_limit: cost 3 is above the burst"
    assert verdict.fields == (("RateLimit-Policy", '"rate_limit";q=2;w=1'), ("RateLimit", '"rate_limit";r=2'))


def test_options_changed_by_a_reload_count_at_once() -> None:
    plugin = make()
    assert isinstance(plugin.headgate_ratelimit(make_exchange(options=options(burst=1))), Reservation)
    assert isinstance(plugin.headgate_ratelimit(make_exchange(options=options(burst=1))), Reject)
    assert isinstance(plugin.headgate_ratelimit(make_exchange(options=options(burst=5))), Reservation)


def test_a_successor_with_the_same_limit_goes_on_counting() -> None:
    old = make(cost=1)
    for _ in range(2):
        old.headgate_ratelimit(make_exchange(identity=ANN))
    same = RateLimit(RateLimit.Config.model_validate({"rate": "10/s", "burst": 2, "cost": 2}))
    same.headgate_configure(Setup("rate_limit", old, {}))
    assert isinstance(same.headgate_ratelimit(make_exchange(identity=ANN)), Reject)
    other = RateLimit(RateLimit.Config.model_validate({"rate": "20/s", "burst": 2}))
    other.headgate_configure(Setup("rate_limit", old, {}))
    assert isinstance(other.headgate_ratelimit(make_exchange(identity=ANN)), Reservation)


def test_memory_is_bounded_and_no_limit_is_lifted_by_a_crowd() -> None:
    plugin = make(by=["address"], rate="1/h", burst=2, max_cells=10)
    for _ in range(2):
        plugin.headgate_ratelimit(make_exchange(client="192.0.2.1"))
    for number in range(1000):
        plugin.headgate_ratelimit(make_exchange(client=f"10.0.{number // 250}.{number % 250}"))
    assert len(plugin._cells) == 10
    assert isinstance(plugin.headgate_ratelimit(make_exchange(client="192.0.2.1")), Reject)


def test_what_is_kept_of_routes_is_bounded() -> None:
    plugin = make(by=["address"])
    for number in range(5000):
        plugin.headgate_ratelimit(make_exchange(client=f"10.0.{number // 250}.{number % 250}", route=f"r{number}"))
        assert len(plugin._policies) <= 4096


def test_what_is_kept_of_answers_is_bounded() -> None:
    now = 1000.0
    plugin = make(rate="1/s", burst=2000)
    for left in range(1999, -1, -1):
        verdict = plugin.headgate_ratelimit(make_exchange(identity=ANN, now=lambda: now))
        assert isinstance(verdict, Reservation)
        assert verdict.fields[1] == ("RateLimit", f'"rate_limit";r={left};t=1')
        assert len(plugin._policies["chat"]._admissions) <= 256


def test_routes_without_limits_of_their_own_have_one_bucket_and_what_is_told_of_it() -> None:
    plugin = make(burst=3)
    told = [plugin.headgate_ratelimit(make_exchange(identity=ANN, route=route)) for route in ("a", "b", "a")]
    assert plugin._policies["a"] is plugin._policies["b"]
    assert [verdict.fields[1][1] for verdict in told] == [f'"rate_limit";r={left};t=1' for left in (2, 1, 0)]


def test_an_odd_name_stays_one_structured_string() -> None:
    verdict = make(name='a"b\\cé').headgate_ratelimit(make_exchange())
    assert verdict is not None
    assert verdict.fields[1][1].startswith('"a\\"b\\\\c?";r=')


TEMPLATE = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {c: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{name: r, match: {path: /}, targets: [c], plugins: {rate_limit: ROUTE}}]
plugins: {rate_limit: SETTINGS}
"""
WRONG = [
    ("{}", "{}", "4:23: plugins.rate_limit.rate: missing, wanted a rate such as `100/s`"),
    ("{rate: 100}", "{}", "4:30: plugins.rate_limit.rate: got 100, wanted a rate"),
    ("{rate: 1/s, burst: 0}", "{}", "burst: got 0, wanted a whole number from 1 to 1000000"),
    ("{rate: 1/s, by: []}", "{}", "by: got an empty list"),
    ("{rate: 1/s, by: [user]}", "{}", 'by[0]: got "user"'),
    ("{rate: 1/s, by: [key, key]}", "{}", "by: got a name twice, wanted each at most once"),
    ("{rate: 1/s, burst: 2, cost: 3}", "{}", "cost: got 3, wanted at most the burst, 2: no request would be admitted"),
    ("{rate: 1/s, cost: 3}", "{}", "cost: got 3, wanted at most the burst, 1"),
    ("{rate: 1/s, brst: 3}", "{}", "brst: unknown key, did you mean `burst`?"),
    ("{rate: 1/s}", "{cost: 0}", "3:81: routes[0].plugins.rate_limit.cost: got 0"),
    ("{rate: 1/s}", "{cost: 3, burst: 2}", "cost: got 3, wanted at most the burst, 2"),
]


@pytest.mark.parametrize(("settings", "route", "message"), WRONG)
def test_wrong_settings_are_told_with_their_place(settings: str, route: str, message: str) -> None:
    schema = PluginSchema("rate_limit", RateLimit.Config, RateLimit.RouteOptions, frozenset({"ratelimit"}))
    text = TEMPLATE.replace("SETTINGS", settings).replace("ROUTE", route)
    with pytest.raises(ConfigErrors) as caught:
        check(text, {"rate_limit": schema}, {})
    (problem,) = caught.value.problems
    assert message in str(problem)
