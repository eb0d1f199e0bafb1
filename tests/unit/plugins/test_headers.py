"""The plugin `headers`: fields of answers, and CORS as a browser sees it."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.headers import Headers
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import Setup

from .exchanges import make_exchange
from .fetch_standard import Wish, cors_check, preflight_fields, preflight_passes

APP, OTHER = "https://app.example", "https://other.example"


def make_plugin(**settings: Any) -> Headers:
    plugin = Headers(Headers.Config.model_validate(settings))
    plugin.headgate_configure(Setup("headers", None, {}))
    return plugin


def asked(*fields: tuple[str, str], method: str = "GET", scheme: str = "http", options: Any = None) -> Exchange:
    exchange = make_exchange(*fields, options={} if options is None else {"headers": options})
    exchange.request.method, exchange.request.scheme = method, scheme
    return exchange


def answered(plugin: Headers, exchange: Exchange, *fields: tuple[str, str], status: int = 200) -> Fields:
    """Return the fields of an answer behind the plugin, after seeing that to do it twice changes nothing."""
    response = Response(status, Fields((name.encode(), value.encode()) for name, value in fields))
    plugin.headgate_response_head(exchange, response)
    once = list(response.fields.raw)
    plugin.headgate_response_head(exchange, response)
    assert sorted(response.fields.raw) == sorted(once)
    return response.fields


def preflight(plugin: Headers, wish: Wish, *more: tuple[str, str]) -> Response | None:
    return plugin.headgate_auth(asked(*preflight_fields(wish), *more, method="OPTIONS"))


def test_it_is_a_plugin_of_the_contract() -> None:
    kind = load_type("headers", EntryPoint("headers", "headgate.plugins.headers:Headers", "headgate.plugins"))
    assert kind.stages == {"auth", "aggregate", "response_head"}


# -- fields


def test_fields_are_set_and_removed_and_others_stay_in_their_order() -> None:
    plugin = make_plugin(set={"X-A": "1", "x-b": "new"}, remove=["Server"])
    found = answered(plugin, asked(), ("One", "1"), ("SERVER", "nginx/1"), ("X-B", "old"), ("x-b", "old"), ("One", "2"))
    assert found.raw == [(b"One", b"1"), (b"One", b"2"), (b"x-a", b"1"), (b"x-b", b"new")]


def test_a_preset_tells_nothing_of_software_and_leaves_what_the_service_says() -> None:
    found = answered(make_plugin(preset="api"), asked(), ("server", "x"), ("x-frame-options", "SAMEORIGIN"))
    assert "server" not in found and found["x-frame-options"] == "SAMEORIGIN"
    assert found["x-content-type-options"] == "nosniff" and found["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in found["content-security-policy"]
    assert found["cross-origin-resource-policy"] == "same-origin"
    page = answered(make_plugin(preset="page", set={"Referrer-Policy": "origin"}), asked())
    assert (page["referrer-policy"], page["cross-origin-opener-policy"]) == ("origin", "same-origin")
    assert answered(make_plugin(), asked(), ("server", "x")).raw == [(b"server", b"x")]


def test_hsts_stands_on_answers_over_tls_only() -> None:
    """Source: RFC 6797 §7.2."""
    plugin = make_plugin(hsts={"max_age": "8760h", "subdomains": True, "preload": True})
    own = ("Strict-Transport-Security", "max-age=0")
    assert "strict-transport-security" not in answered(plugin, asked(), own)
    found = answered(plugin, asked(scheme="https"), own)
    assert found["strict-transport-security"] == "max-age=31536000; includeSubDomains; preload"


def test_a_route_sets_what_it_wants_otherwise() -> None:
    plugin = make_plugin(preset="api", set={"X-A": "1"}, cors={"allow_origins": [APP]})
    options = Headers.RouteOptions.model_validate({"preset": "none", "cors": {"allow_origins": [OTHER]}})
    for origin, is_allowed in ((APP, False), (OTHER, True)):
        found = answered(plugin, asked(("Origin", origin), options=options))
        assert (found.get("access-control-allow-origin") == origin) is is_allowed
        assert found["x-a"] == "1" and "x-frame-options" not in found
    changed = Headers.RouteOptions.model_validate({"set": {"X-A": "2"}})
    assert answered(plugin, asked(options=changed))["x-a"] == "2"  # as after a reload


# -- CORS: (settings, wish, whether the preflight passes, whether the answer may be read, source)

CASES: list[tuple[dict[str, Any], Wish, bool, bool]] = [
    # "CORS check": the origin is compared octet by octet
    ({"allow_origins": [APP]}, Wish(APP), True, True),
    ({"allow_origins": [APP]}, Wish("https://app.example:8443"), False, False),
    ({"allow_origins": [APP]}, Wish("http://app.example"), False, False),
    ({"allow_origins": [APP]}, Wish("https://app.example.evil.example"), False, False),
    ({"allow_origins": [APP]}, Wish("https://APP.example"), False, False),
    ({"allow_origins": [APP]}, Wish("null"), False, False),
    ({"allow_origins": [OTHER, APP]}, Wish(APP), True, True),
    ({"allow_origins": ["https://*.app.example"]}, Wish("https://a.app.example"), True, True),
    ({"allow_origins": ["https://*.app.example"]}, Wish("https://a.b.app.example"), True, True),
    ({"allow_origins": ["https://*.app.example"]}, Wish("https://app.example"), False, False),
    ({"allow_origins": ["https://*.app.example"]}, Wish("https://evilapp.example"), False, False),
    ({"allow_origins": ["https://*.app.example"]}, Wish("https://.app.example"), False, False),
    ({"allow_origins": ["https://*.app.example"]}, Wish("https://a.app.example:8443"), False, False),
    ({"allow_origins": ["https://*.app.example"]}, Wish("https://evil.example/.app.example"), False, False),
    ({"allow_origins": ["https://*.app.example"]}, Wish("https://evil.example#.app.example"), False, False),
    ({"allow_origins": ["https://*.app.example"]}, Wish("http://a.app.example"), False, False),
    ({"allow_origins": ["*"]}, Wish(APP), True, True),
    ({"allow_origins": ["*"]}, Wish("null"), True, True),
    # "CORS protocol and credentials": never with `*`, and only where it is said
    ({"allow_origins": ["*"]}, Wish(APP, has_credentials=True), False, False),
    ({"allow_origins": [APP]}, Wish(APP, has_credentials=True), False, False),
    ({"allow_origins": [APP], "allow_credentials": True}, Wish(APP, has_credentials=True), True, True),
    ({"allow_origins": [APP], "allow_credentials": True}, Wish(OTHER, has_credentials=True), False, False),
    # "CORS-preflight fetch": methods, in their case; safelisted ones pass anyway
    ({"allow_origins": [APP], "allow_methods": ["PUT"]}, Wish(APP, "PUT"), True, True),
    ({"allow_origins": [APP], "allow_methods": ["PUT"]}, Wish(APP, "DELETE"), False, True),
    ({"allow_origins": [APP], "allow_methods": ["PATCH"]}, Wish(APP, "patch"), False, True),
    ({"allow_origins": [APP], "allow_methods": ["PUT"]}, Wish(APP, "POST"), True, True),
    ({"allow_origins": [APP], "allow_methods": ["*"]}, Wish(APP, "DELETE"), True, True),
    # "CORS-preflight fetch": names of fields; `*` is not for Authorization
    ({"allow_origins": [APP]}, Wish(APP, "POST", ("authorization", "content-type")), True, True),
    ({"allow_origins": [APP]}, Wish(APP, "POST", ("x-team",)), False, True),
    ({"allow_origins": [APP], "allow_headers": ["X-Team"]}, Wish(APP, "POST", ("x-team",)), True, True),
    ({"allow_origins": [APP], "allow_headers": ["*"]}, Wish(APP, "POST", ("x-team",)), True, True),
    ({"allow_origins": [APP], "allow_headers": ["*"]}, Wish(APP, "POST", ("authorization",)), False, True),
    (
        {"allow_origins": [APP], "allow_headers": ["*", "Authorization"]},
        Wish(APP, "POST", ("authorization", "x-team")),
        True,
        True,
    ),
]


@pytest.mark.parametrize(("cors", "wish", "passes", "may_read"), CASES)
def test_what_a_browser_lets_pass(cors: dict[str, Any], wish: Wish, passes: bool, may_read: bool) -> None:
    plugin = make_plugin(cors=cors)
    answer = preflight(plugin, wish)
    assert answer is not None and (answer.status, answer.body) == (204, b"")
    assert preflight_passes(wish, answer.status, answer.fields) is passes
    for status in (200, 401, 500):  # errors may be read as well
        found = answered(plugin, asked(("Origin", wish.origin)), status=status)
        assert cors_check(wish, found) is may_read
    is_open = cors["allow_origins"] == ["*"]
    assert ("origin" in (answer.fields.get("vary") or "").lower()) is not is_open


ORIGINS = st.sampled_from([APP, OTHER, "null", "https://a.app.example", "http://app.example", "https://app.example:1"])
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "put"])
NAMES = st.sampled_from(["authorization", "content-type", "x-team", "x-other"])


@given(
    allowed=st.lists(ORIGINS.filter(lambda one: one != "null"), min_size=1, unique=True) | st.just(["*"]),
    methods=st.lists(METHODS, min_size=1, unique=True),
    names=st.lists(NAMES, unique=True),
    wish=st.builds(Wish, ORIGINS, METHODS, st.lists(NAMES, unique=True).map(tuple), st.booleans()),
    is_with_credentials=st.booleans(),
)
def test_a_browser_lets_pass_what_the_settings_allow_and_nothing_else(
    allowed: list[str], methods: list[str], names: list[str], wish: Wish, is_with_credentials: bool
) -> None:
    is_with_credentials = is_with_credentials and allowed != ["*"]
    cors = {"allow_origins": allowed, "allow_methods": methods, "allow_headers": names}
    answer = preflight(make_plugin(cors={**cors, "allow_credentials": is_with_credentials}), wish)
    assert answer is not None
    is_allowed = (
        (allowed == ["*"] or wish.origin in allowed)
        and (wish.method in methods or wish.method in ("GET", "POST"))
        and set(wish.headers) <= set(names)
        and (is_with_credentials or not wish.has_credentials)
    )
    assert preflight_passes(wish, answer.status, answer.fields) is is_allowed


def test_what_the_service_says_of_cors_is_replaced() -> None:
    plugin = make_plugin(cors={"allow_origins": [APP], "expose_headers": ["X-Request-Id"]})
    theirs = (("access-control-allow-origin", "*"), ("Access-Control-Allow-Credentials", "true"))
    for origin in (APP, OTHER, ""):
        found = answered(plugin, asked(*[("Origin", origin)] * bool(origin)), *theirs)
        assert found.get_all("access-control-allow-origin") == ([APP] if origin == APP else [])
        assert "access-control-allow-credentials" not in found
        assert found.get("access-control-expose-headers") == ("x-request-id" if origin == APP else None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), ["Origin"]),
        (("Accept-Encoding",), ["Accept-Encoding", "Origin"]),
        (("Accept-Encoding, ORIGIN",), ["Accept-Encoding, ORIGIN"]),
        (("Accept", "origin"), ["Accept", "origin"]),
        (("*",), ["*"]),
    ],
)
def test_every_answer_that_could_differ_by_origin_says_so(before: tuple[str, ...], after: list[str]) -> None:
    plugin = make_plugin(cors={"allow_origins": [APP]})
    for fields in ((), (("Origin", APP),), (("Origin", OTHER),)):
        found = answered(plugin, asked(*fields), *[("Vary", value) for value in before])
        assert found.get_all("vary") == after
    open_to_all = make_plugin(cors={"allow_origins": ["*"]})
    assert answered(open_to_all, asked())["access-control-allow-origin"] == "*"  # to those without Origin, too
    assert "vary" not in answered(open_to_all, asked(("Origin", APP)))


def test_two_origins_are_nobodys() -> None:
    found = answered(make_plugin(cors={"allow_origins": [APP]}), asked(("Origin", APP), ("Origin", OTHER)))
    assert "access-control-allow-origin" not in found


def test_a_private_network_is_opened_only_where_that_is_said() -> None:
    network = ("Access-Control-Request-Private-Network", "true")
    for is_open in (False, True):
        plugin = make_plugin(cors={"allow_origins": [APP], "allow_private_network": is_open})
        for wish, more in ((Wish(APP), (network,)), (Wish(APP), ()), (Wish(OTHER), (network,))):
            answer = preflight(plugin, wish, *more)
            assert answer is not None
            is_said = "access-control-allow-private-network" in answer.fields
            assert is_said is (is_open and wish.origin == APP and bool(more))


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("OPTIONS", ()),
        ("OPTIONS", (("Origin", APP),)),
        ("OPTIONS", (("Access-Control-Request-Method", "GET"),)),
        ("GET", tuple(preflight_fields(Wish(APP)))),
        ("options", tuple(preflight_fields(Wish(APP)))),
    ],
)
def test_what_is_no_preflight_is_left_to_others(method: str, fields: tuple[tuple[str, str], ...]) -> None:
    plugin = make_plugin(cors={"allow_origins": [APP]})
    exchange = asked(*fields, method=method)
    assert plugin.headgate_auth(exchange) is None and plugin.headgate_aggregate(exchange) is None
    assert make_plugin().headgate_auth(asked(*preflight_fields(Wish(APP)), method="OPTIONS")) is None


# -- settings

PLUGINS = {"headers": PluginSchema("headers", Headers.Config, Headers.RouteOptions, frozenset({"auth"}))}
TEMPLATE = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {c: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{name: r, match: {path: /}, targets: [c]}]
plugins:
  headers: SETTINGS
"""
WRONG = [
    ("{cors: {}}", "cors.allow_origins: missing"),
    ("{cors: {allow_origins: []}}", "cors.allow_origins: got an empty list"),
    ("{cors: {allow_origins: ['https://a.example/']}}", "allow_origins[0]: got"),
    ("{cors: {allow_origins: ['https://A.example']}}", "in lower case"),
    ("{cors: {allow_origins: ['https://a.example:443']}}", "without the port"),
    ("{cors: {allow_origins: ['null']}}", "allow_origins[0]: got"),
    ("{cors: {allow_origins: ['https://*']}}", "allow_origins[0]: got"),
    ("{cors: {allow_origins: ['https://*evil.example']}}", "allow_origins[0]: got"),
    ("{cors: {allow_origins: ['*', 'https://a.example']}}", "wanted `*` alone"),
    ("{cors: {allow_origins: ['*'], allow_credentials: true}}", "cors.allow_origins: got `*` together with"),
    ("{cors: {allow_origins: ['https://a'], allow_headers: ['*'], allow_credentials: true}}", "allow_headers: got `*`"),
    ("{cors: {allow_origins: ['https://a'], max_age: 48h}}", "cors.max_age"),
    ("{set: {Access-Control-Allow-Origin: '*'}}", "wanted it under `cors`"),
    ("{set: {Strict-Transport-Security: max-age=1}}", "wanted `hsts`"),
    ("{preset: strict}", "plugins.headers.preset"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_wrong_settings_are_told_with_their_place(settings: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        check(TEMPLATE.replace("SETTINGS", settings), PLUGINS, {})
    problems = [str(problem) for problem in caught.value.problems]
    assert any(message in problem and problem.startswith("<text>:5:") for problem in problems), problems
