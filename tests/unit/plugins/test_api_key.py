"""The plugin `api_key`: who gets in, who does not, and what is told to whom."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from headgate.plugins.api_key import ApiKey, digest, new_key
from headgate.proxy.counting import Counting
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import Setup
from headgate.proxy.verdicts import Identity, Reject, Reservation

from .api_keys import ENDED, NOON, PEPPER, entry, make_plugin
from .exchanges import make_exchange

KEY = new_key("test")
HOUR = timedelta(hours=1)


def test_it_is_a_plugin_of_the_contract() -> None:
    kind = load_type("api_key", EntryPoint("api_key", "headgate.plugins.api_key:ApiKey", "headgate.plugins"))
    assert kind.stages == {"auth", "ratelimit"}
    assert kind.config is ApiKey.Config
    assert kind.route_options is ApiKey.RouteOptions


@pytest.mark.parametrize(
    "field",
    [
        ("Authorization", f"Bearer {KEY}"),
        ("authorization", f"bearer  {KEY}"),
        ("AUTHORIZATION", f"BEARER {KEY} "),
        ("X-API-Key", KEY),
        ("x-api-key", f" {KEY}"),
    ],
)
def test_a_known_key_gets_in_and_goes_no_further(field: tuple[str, str]) -> None:
    exchange = make_exchange(("Host", "gate.example"), field, ("Accept", "*/*"))
    plugin = make_plugin(
        entry(KEY, scopes=["chat"], models=["lite", "team-*"], routes=["c*"], max_priority="interactive")
    )
    assert plugin.headgate_auth(exchange) == Identity(
        key_id="acme-1",
        tenant="acme",
        scopes=frozenset({"chat"}),
        models=("lite", "team-*"),
        routes=("c*",),
        max_priority="interactive",
    )
    assert exchange.request.fields.raw == [(b"Host", b"gate.example"), (b"Accept", b"*/*")]


def test_the_key_is_taken_out_wherever_it_stands() -> None:
    exchange = make_exchange(("Authorization", f"Bearer {KEY}"), ("x-api-key", KEY), ("Authorization", f"bearer {KEY}"))
    assert isinstance(make_plugin(entry(KEY)).headgate_auth(exchange), Identity)
    assert exchange.request.fields.raw == []


def test_an_authorization_of_another_scheme_is_for_the_service_behind() -> None:
    exchange = make_exchange(("Authorization", "Basic dXNlcjpwYXNz"), ("x-api-key", KEY))
    assert isinstance(make_plugin(entry(KEY)).headgate_auth(exchange), Identity)
    assert exchange.request.fields.raw == [(b"Authorization", b"Basic dXNlcjpwYXNz")]


def test_the_fields_that_carry_keys_can_be_named() -> None:
    plugin = make_plugin(entry(KEY), headers=["X-Team-Key"])
    assert isinstance(plugin.headgate_auth(make_exchange(("x-team-key", KEY))), Identity)
    assert isinstance(plugin.headgate_auth(make_exchange(("x-api-key", KEY))), Reject)
    assert isinstance(plugin.headgate_auth(make_exchange(("Authorization", f"Bearer {KEY}"))), Reject)


def test_a_key_of_other_origin_is_known_by_its_digest_alone() -> None:
    assert isinstance(make_plugin(entry("demo")).headgate_auth(make_exchange(("x-api-key", "demo"))), Identity)


def test_a_key_longer_than_any_is_not_digested() -> None:
    for length, kind in ((512, Identity), (513, Reject)):
        key = "k" * length
        assert isinstance(make_plugin(entry(key)).headgate_auth(make_exchange(("x-api-key", key))), kind)


MISTYPED = KEY[:-1] + ("0" if KEY[-1] != "0" else "1")
REFUSALS: list[tuple[str, tuple[tuple[str, str], ...], dict[str, Any], str]] = [
    ("missing", (), {}, "no key in authorization, x-api-key"),
    ("other scheme", (("Authorization", "Basic dXNlcjpwYXNz"),), {}, "no key in authorization, x-api-key"),
    ("empty", (("Authorization", "Bearer "),), {}, "no key has this digest"),
    ("bare scheme", (("Authorization", "Bearer"),), {}, "no key has this digest"),
    ("unknown", (("x-api-key", new_key("test")),), {}, "no key has this digest"),
    ("unknown foreign", (("x-api-key", "sk-unknown"),), {}, "no key has this digest"),
    ("prefix", (("x-api-key", KEY[:-9]),), {}, "mistyped"),
    ("mistyped", (("x-api-key", MISTYPED),), {}, "mistyped"),
    ("latin-1", (("x-api-key", "clé"),), {}, "no key has this digest"),
    ("long", (("x-api-key", "k" * 8000),), {}, "no key has this digest"),
    ("two", (("x-api-key", KEY), ("Authorization", "Bearer demo")), {}, "two different keys"),
    ("twice", (("x-api-key", KEY), ("x-api-key", "demo")), {}, "two different keys"),
    ("disabled", (("x-api-key", KEY),), {"disabled": True}, "key acme-1 is disabled"),
    (
        "expired",
        (("x-api-key", KEY),),
        {"digests": [{"digest": digest(KEY, PEPPER), "not_after": NOON}]},
        "expired at 2026-06-01T12:00:00+00:00",
    ),
    (
        "early",
        (("x-api-key", KEY),),
        {"digests": [{"digest": digest(KEY, PEPPER), "not_before": NOON + HOUR}]},
        "not valid before 2026-06-01T13:00:00+00:00",
    ),
]


@pytest.mark.parametrize(("name", "fields", "more", "detail"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_all_refusals_look_alike_to_the_client(
    name: str, fields: tuple[tuple[str, str], ...], more: dict[str, Any], detail: str
) -> None:
    exchange = make_exchange(*fields)
    verdict = make_plugin(entry(KEY, **more)).headgate_auth(exchange)
    assert isinstance(verdict, Reject)
    assert (verdict.kind, verdict.message) == ("unauthenticated", "")
    assert verdict.fields == (("WWW-Authenticate", 'Bearer realm="headgate"'),)
    assert detail in verdict.detail
    assert not any(value.removeprefix("Bearer ") in verdict.detail for _, value in fields if len(value) > 8)
    assert exchange.identity is None


def test_a_key_is_judged_the_same_each_time() -> None:
    """Also where one that is mistyped stands in the file by its digest, or one ends that was good before."""
    at = NOON
    ended = {"digest": digest("ends", PEPPER), "not_after": NOON + HOUR}
    plugin = make_plugin(entry(KEY), entry(MISTYPED, id="wrong"), entry(id="ends", digests=[ended]), now=lambda: at)

    def details(key: str) -> list[str]:
        verdicts = [plugin.headgate_auth(make_exchange(("x-api-key", key))) for _ in range(3)]
        return [verdict.detail if isinstance(verdict, Reject) else "" for verdict in verdicts]

    assert details(KEY) == details("ends") == ["", "", ""]
    assert all("mistyped" in detail for detail in details(MISTYPED))
    at = NOON + HOUR
    assert details(KEY) == ["", "", ""]
    assert all("expired" in detail for detail in details("ends"))


def test_fields_of_the_same_length_and_what_is_no_key_stay() -> None:
    others = [("x-api-kex", KEY), ("Accept-Ranges", "x"), ("authorizatiom", f"Bearer {KEY}")]
    exchange = make_exchange(others[0], ("X-Api-Key", KEY), *others[1:])
    assert isinstance(make_plugin(entry(KEY)).headgate_auth(exchange), Identity)
    assert exchange.request.fields.raw == [(name.encode(), value.encode()) for name, value in others]


def test_who_is_not_known_here_may_be_left_to_the_next_plugin() -> None:
    plugin = make_plugin(entry(KEY, disabled=True), unknown="next")
    token = ("Authorization", "Bearer eyJhbGciOi.J9.c2ln")
    exchange = make_exchange(token)
    assert plugin.headgate_auth(exchange) is None
    assert exchange.request.fields["authorization"] == token[1]
    assert plugin.headgate_auth(make_exchange()) is None
    for key in (KEY, MISTYPED):  # ours, and refused
        assert isinstance(plugin.headgate_auth(make_exchange(("x-api-key", key))), Reject)


def test_keys_rotate_with_overlap() -> None:
    old, new, at = new_key("test"), new_key("test"), NOON
    digests = [
        {"digest": digest(old, PEPPER), "not_after": NOON + 2 * HOUR},
        {"digest": digest(new, PEPPER), "not_before": NOON + HOUR},
    ]
    plugin = make_plugin(entry(digests=digests), now=lambda: at)

    def gets_in(key: str) -> bool:
        return isinstance(plugin.headgate_auth(make_exchange(("x-api-key", key))), Identity)

    assert (gets_in(old), gets_in(new)) == (True, False)
    at = NOON + HOUR
    assert (gets_in(old), gets_in(new)) == (True, True)
    at = NOON + 2 * HOUR
    assert (gets_in(old), gets_in(new)) == (False, True)


def test_a_route_asks_for_scopes() -> None:
    plugin = make_plugin(entry(KEY, scopes=["chat", "files"]))
    plugin.headgate_configure(Setup("keys", None, {}))

    def ask(*scopes: str, name: str = "keys") -> Identity | Reject | None:
        options = {name: ApiKey.RouteOptions(scopes=scopes)}
        return plugin.headgate_auth(make_exchange(("x-api-key", KEY), options=options))

    assert isinstance(ask(), Identity)
    assert isinstance(ask("chat", "files"), Identity)
    assert isinstance(ask("admin", name="other"), Identity)
    verdict = ask("chat", "admin")
    assert isinstance(verdict, Reject)
    assert verdict.kind == "forbidden"
    assert "chat admin" in verdict.detail
    assert verdict.fields == (
        ("WWW-Authenticate", 'Bearer realm="headgate", error="insufficient_scope", scope="chat admin"'),
    )


def admitted(plugin: ApiKey, key: str = KEY) -> Exchange:
    exchange = make_exchange(("x-api-key", key))
    assert isinstance(plugin.headgate_auth(exchange), Identity)
    return exchange


def test_a_key_runs_so_many_requests_at_once() -> None:
    plugin = make_plugin(entry(KEY, max_parallel=2))
    first, second, third = (admitted(plugin) for _ in range(3))
    one, two = plugin.headgate_ratelimit(first), plugin.headgate_ratelimit(second)
    assert isinstance(one, Reservation)
    assert isinstance(two, Reservation)
    refused = plugin.headgate_ratelimit(third)
    assert isinstance(refused, Reject)
    assert (refused.kind, refused.detail) == ("too_many_parallel", "key acme-1: 2 run already")
    assert one.settle is not None
    one.settle(ENDED)
    one.settle(ENDED)  # a second time changes nothing
    assert isinstance(plugin.headgate_ratelimit(admitted(plugin)), Reservation)
    assert isinstance(plugin.headgate_ratelimit(admitted(plugin)), Reject)


def test_keys_without_a_bound_and_strangers_are_not_counted() -> None:
    plugin = make_plugin(entry(KEY))
    assert plugin.headgate_ratelimit(admitted(plugin)) is None
    assert plugin.headgate_ratelimit(make_exchange()) is None


def test_two_instances_do_not_mix_their_keys_up() -> None:
    one, other = make_plugin(entry(KEY, max_parallel=1)), make_plugin(entry(KEY, max_parallel=1))
    exchange = admitted(one)
    assert other.headgate_ratelimit(exchange) is None
    assert isinstance(one.headgate_ratelimit(exchange), Reservation)


def test_plugins_of_other_names_count_by_themselves() -> None:
    counting = Counting()
    for name in ("one", "other"):
        plugin = make_plugin(entry(KEY, max_parallel=1))
        plugin.headgate_configure(Setup(name, None, {}, counting))
        verdicts = [plugin.headgate_ratelimit(admitted(plugin)) for _ in range(2)]
        assert [type(verdict) for verdict in verdicts] == [Reservation, Reject]


def test_a_successor_knows_what_runs() -> None:
    old, counting = make_plugin(entry(KEY, max_parallel=1)), Counting()
    old.headgate_configure(Setup("api_key", None, {}, counting))
    running = old.headgate_ratelimit(admitted(old))
    assert isinstance(running, Reservation)
    new = make_plugin(entry(KEY, max_parallel=1, scopes=["new"]))
    new.headgate_configure(Setup("api_key", old, {}, counting))
    old.close()
    assert isinstance(new.headgate_ratelimit(admitted(new)), Reject)
    assert running.settle is not None
    running.settle(ENDED)
    assert isinstance(new.headgate_ratelimit(admitted(new)), Reservation)
