"""The plugin `quota`: whom it charges, what it tells them, and what it takes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.ext.head_scan import BodyScan
from headgate.plugins.quota import Quota
from headgate.plugins.quota.amounts import UNITS
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.counting import Counting
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import ModelInfo, Setup
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.verdicts import Identity, Reject, Reservation, Settlement

from ..exchanges import make_exchange

ANN, BOB = Identity("ann", "acme"), Identity("bob", "acme")
NOON_S = 1_800_014_400.0  # 2027-01-15T12:00:00Z
BODY = b'{"model": "m"}' + b" " * 26  # 40 bytes: 10 tokens
WHOLE = Settlement(200, None, 7, 5, False, is_sent=True)


class Clock:
    now_s = NOON_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def made() -> Iterator[list[Quota]]:
    """The plugins that a test makes: they are closed at its end."""
    plugins: list[Quota] = []
    yield plugins
    for plugin in plugins:
        plugin.close()


def make(
    made: list[Quota], *limits: dict[str, Any], previous: Quota | None = None, setup: Setup | None = None, **more: Any
) -> tuple[Quota, Clock]:
    clock = Clock()
    plugin = Quota(Quota.Config.model_validate({"limits": limits, **more}), wall=clock)
    plugin.headgate_configure(setup or Setup("quota", previous, {"m": ModelInfo(("alias",))}))
    made.append(plugin)
    return plugin, clock


def per_day(by: str = "key", **limits: Any) -> dict[str, Any]:
    return {"by": by, "per": "day", **limits}


def asking(identity: Identity | None = ANN, model: str = "m", **scan: Any) -> Exchange:
    exchange = make_exchange(identity=identity, model=model)
    exchange.body_scan = BodyScan(BODY, model, (0, 0), **scan)
    return exchange


def admitted(plugin: Quota, exchange: Exchange) -> Reservation:
    verdict = plugin.headgate_ratelimit(exchange)
    assert isinstance(verdict, Reservation)
    return verdict


def refused(plugin: Quota, exchange: Exchange) -> Reject:
    verdict = plugin.headgate_ratelimit(exchange)
    assert isinstance(verdict, Reject)
    return verdict


def settled(plugin: Quota, exchange: Exchange, settlement: Settlement) -> None:
    reservation = admitted(plugin, exchange)
    assert reservation.settle is not None
    reservation.settle(settlement)
    reservation.settle(settlement)  # a second time does nothing


def left(plugin: Quota, exchange: Exchange | None = None) -> list[int]:
    """What is told to be left, after one more request."""
    verdict = plugin.headgate_ratelimit(exchange or make_exchange(identity=ANN))
    return [
        int(member.partition(";r=")[2].partition(";")[0]) for member in dict(verdict.fields)["RateLimit"].split(",")
    ]


def test_the_most_that_a_request_may_take_is_reserved(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_requests=5, max_tokens=1000), default_max_tokens=100)
    assert left(plugin, asking()) == [4, 890]
    assert left(plugin, asking(max_tokens=20)) == [3, 860]
    assert left(plugin, asking(max_tokens=20, max_completion_tokens=30, n=3)) == [2, 760]
    assert left(plugin, make_exchange(identity=ANN)) == [1, 760]  # no body: nothing to be made of it
    assert left(plugin, asking(max_tokens=-5)) == [0, 650]


def test_what_was_used_is_settled(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_requests=5, max_tokens=1000))
    settled(plugin, asking(max_tokens=500), WHOLE)
    assert left(plugin) == [3, 988]


def test_a_route_caps_what_is_reserved_and_has_a_default_of_its_own(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_tokens=1000))
    options = {"quota": Quota.RouteOptions(max_tokens_reserved=50, default_max_tokens=20)}
    for asked, expected in ((400, 940), (None, 910)):
        exchange = asking(max_tokens=asked)
        exchange.route = make_exchange(options=options).route
        assert left(plugin, exchange) == [expected]


def test_a_refusal_says_which_limit_and_when_it_is_renewed(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_requests=1))
    admitted(plugin, asking())
    verdict = refused(plugin, asking())
    assert verdict.kind == "quota_exceeded"
    assert verdict.message == (
        "the quota of this key is 1 requests a day, 0 requests left, and this needs 1 requests: "
        "it is renewed at 2027-01-16T00:00:00Z"
    )
    assert verdict.detail == "quota: key/day"
    assert verdict.fields == (
        ("RateLimit-Policy", '"quota/key/day/requests";q=1;qu="requests";w=86400'),
        ("RateLimit", '"quota/key/day/requests";r=0;t=43200'),
    )


def test_when_to_come_back_is_told_within_an_hour(made: list[Quota]) -> None:
    plugin, clock = make(made, per_day(max_requests=1, max_tokens=100), default_max_tokens=1)
    admitted(plugin, asking())
    clock.now_s = NOON_S + 11 * 3600 + 0.5
    assert refused(plugin, asking()).fields[0] == ("Retry-After", "3600")
    impossible = refused(plugin, asking(max_tokens=1000))
    assert "Retry-After" not in dict(impossible.fields)
    clock.now_s += 3600
    assert isinstance(plugin.headgate_ratelimit(asking()), Reservation)


def test_of_several_limits_the_one_that_lasts_longest_is_told(made: list[Quota]) -> None:
    limits = [{"by": "key", "per": per, "max_requests": 1} for per in ("minute", "total", "month")]
    plugin, _ = make(made, *limits)
    admitted(plugin, asking())
    verdict = refused(plugin, asking())
    assert verdict.message.endswith(
        "1 requests in total, 0 requests left, and this needs 1 requests: it is not renewed"
    )
    assert dict(verdict.fields)["RateLimit-Policy"] == (
        '"quota/key/minute/requests";q=1;qu="requests";w=60, "quota/key/total/requests";q=1;qu="requests", '
        '"quota/key/month/requests";q=1;qu="requests";w=2678400'
    )
    assert "Retry-After" not in dict(verdict.fields)


def test_keys_have_accounts_of_their_own_and_a_tenant_one_for_all(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_requests=2), per_day("tenant", max_requests=3))
    for identity in (ANN, ANN, BOB):
        admitted(plugin, asking(identity))
    assert refused(plugin, asking(BOB)).detail == "quota: tenant/day"
    assert isinstance(plugin.headgate_ratelimit(asking(Identity("ann2", "other"))), Reservation)


def test_without_an_identity_an_address_is_the_account(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_requests=1))
    admitted(plugin, asking(None))
    refused(plugin, asking(None))
    admitted(plugin, make_exchange(client="192.0.2.7"))


PRICES = {"m": {"input": "2.50", "output": "10"}}


def test_money_is_counted_by_the_price_of_the_model(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_cost="0.001"), prices=PRICES)
    assert left(plugin, asking(max_tokens=10)) == [1000 - 25 - 100]
    settled(plugin, asking(model="alias", max_tokens=10), WHOLE)
    assert left(plugin) == [875 - 68]  # 7 * 2.5 + 5 * 10, rounded up
    verdict = refused(plugin, asking(max_tokens=100))
    assert "the quota of this key is 0.001 of money a day, 0.000807 of money left" in verdict.message


def test_a_model_without_a_price_is_refused_where_money_is_limited(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_cost="1"), prices=PRICES)
    verdict = refused(plugin, asking(model="other"))
    assert (verdict.kind, verdict.detail) == ("forbidden", "quota: no price of other")
    admitted(plugin, make_exchange(identity=ANN))
    anyone, _ = make(made, per_day(max_cost="1"), prices={"*": {"input": "0", "output": "100"}})
    assert left(anyone, asking(model="other", max_tokens=10)) == [1_000_000 - 1000]
    with pytest.raises(ValueError, match="expected `prices` of all models, or of `\\*`; got none of heavy"):
        make(made, per_day(max_cost="1"), prices=PRICES, setup=Setup("quota", None, {"heavy": ModelInfo()}))


def test_full_accounts_refuse_newcomers_and_serve_the_others(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_requests=5), max_accounts=1)
    admitted(plugin, asking(ANN))
    verdict = refused(plugin, asking(BOB))
    assert (verdict.kind, verdict.detail.endswith("; max_accounts is 1")) == ("stage_unavailable", True)
    admitted(plugin, asking(ANN))


def test_a_successor_goes_on_with_the_accounts_and_old_reservations_are_settled(made: list[Quota]) -> None:
    old, _ = make(made, per_day(max_requests=5))
    reservation = admitted(old, asking())
    new, _ = make(made, per_day(max_requests=2), previous=old)
    assert left(new) == [0]
    assert reservation.settle is not None
    reservation.settle(Settlement(502, "connect_failed", None, None, False))
    old.close()
    assert left(new) == [0]
    refused(new, asking())
    larger, _ = make(made, per_day(max_requests=2), previous=new, max_accounts=20)
    assert left(larger) == [1]


def test_a_file_keeps_accounts_over_a_restart(made: list[Quota], tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    plugin, _ = make(made, per_day(max_requests=5), file=file)
    admitted(plugin, asking())
    plugin.close()
    again, _ = make(made, per_day(max_requests=5), file=file)
    assert left(again) == [3]


def test_a_file_that_was_replaced_is_the_one_from_a_reload_on(made: list[Quota], tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    old, _ = make(made, per_day(max_requests=5), file=file)
    admitted(old, asking())
    new, _ = make(made, per_day(max_requests=4), file=file, previous=old)
    assert left(new) == [2]
    file.unlink()
    fresh, _ = make(made, per_day(max_requests=3), file=file, previous=new)
    assert left(fresh) == [2]
    fresh.close()
    again, _ = make(made, per_day(max_requests=3), file=file)
    assert left(again) == [1]


def test_workers_share_what_lies_in_memory(made: list[Quota]) -> None:
    asked: list[tuple[str, int]] = []
    counting = Counting()

    def memory(name: str, num_bytes: int) -> int:
        asked.append((name, num_bytes))
        return counting.make_memory(name, num_bytes)

    make(made, per_day(max_requests=5), setup=Setup("mine", None, {}, Counting(make_memory=memory)))
    assert [name for name, _ in asked] == ["mine: accounts 10000"]


def test_metrics_tell_what_is_reserved_used_and_refused(made: list[Quota]) -> None:
    plugin, _ = make(made, per_day(max_requests=2, max_tokens=1000))
    registry = Registry()
    plugin.headgate_metrics(registry)
    settled(plugin, asking(max_tokens=4), Settlement(200, None, 10, 9, False, is_sent=True))
    admitted(plugin, asking(max_tokens=40))
    refused(plugin, asking(max_tokens=2000))
    lines = registry.render().decode().splitlines()
    for line in (
        'headgate_quota_used_total{plugin="quota",unit="tokens"} 19',
        'headgate_quota_used_total{plugin="quota",unit="requests"} 1',
        'headgate_quota_excess_total{plugin="quota",unit="tokens"} 5',
        'headgate_quota_reserved{plugin="quota",unit="tokens"} 50',
        'headgate_quota_reserved{plugin="quota",unit="requests"} 1',
        'headgate_quota_refused_total{plugin="quota",limit="key/day",unit="requests"} 1',
        'headgate_quota_refused_total{plugin="quota",limit="key/day",unit="tokens"} 1',
        'headgate_quota_accounts{plugin="quota"} 1',
    ):
        assert line in lines
    assert UNITS == ("requests", "tokens", "cost")


TEMPLATE = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {c: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{name: r, match: {path: /}, targets: [c], plugins: {quota: ROUTE}}]
plugins: {quota: SETTINGS}
"""
ONE = "{by: key, per: day, max_requests: 1}"
WRONG = [
    ("{}", "{}", "4:18: plugins.quota.limits: missing"),
    ("{limits: []}", "{}", "limits: got an empty list"),
    ("{limits: [{by: key, per: day}]}", "{}", "limits[0]: got no limit, wanted `max_requests`, `max_tokens` or"),
    ("{limits: [{by: user, per: day, max_tokens: 1}]}", "{}", 'limits[0].by: got "user"'),
    ("{limits: [{by: key, per: year, max_tokens: 1}]}", "{}", 'limits[0].per: got "year"'),
    ("{limits: [{by: key, per: day, max_tokens: 0}]}", "{}", "limits[0].max_tokens: got 0"),
    (f"{{limits: [{ONE}, {ONE}]}}", "{}", "limits[1]: got `by: key` `per: day` twice, wanted it once"),
    ("{limits: [{by: key, per: day, max_cost: 2.5}]}", "{}", "max_cost: got 2.5, wanted an amount of money, in quotes"),
    ('{limits: [{by: key, per: day, max_cost: "1.0000001"}]}', "{}", "with at most six decimals"),
    ('{limits: [{by: key, per: day, max_cost: "1"}]}', "{}", "max_cost: got a limit on money, wanted `prices` with it"),
    (f"{{limits: [{ONE}], prices: {{m: {{input: '1'}}}}}}", "{}", "prices.m.output: missing"),
    (f"{{limits: [{ONE}], file: no/such/folder}}", "{}", 'file: got "no/such/folder", wanted the path of a file in a'),
    (f"{{limits: [{ONE}], max_accounts: 0}}", "{}", "max_accounts: got 0"),
    (f"{{limits: [{ONE}], bytes_per_token: 17}}", "{}", "bytes_per_token: got 17"),
    (f"{{limits: [{ONE}]}}", "{max_tokens_reserved: 0}", "routes[0].plugins.quota.max_tokens_reserved: got 0"),
]


@pytest.mark.parametrize(("settings", "route", "message"), WRONG)
def test_wrong_settings_are_told_with_their_place(settings: str, route: str, message: str) -> None:
    schema = PluginSchema("quota", Quota.Config, Quota.RouteOptions, frozenset({"ratelimit"}))
    text = TEMPLATE.replace("SETTINGS", settings).replace("ROUTE", route)
    with pytest.raises(ConfigErrors) as caught:
        check(text, {"quota": schema}, {})
    (problem,) = caught.value.problems
    assert message in str(problem)
