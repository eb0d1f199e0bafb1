"""The plugin `transform`: what it changes, and what it refuses to be told."""

from __future__ import annotations

import re
import time
from importlib.metadata import EntryPoint
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headgate.ext.http1 import write_request_head
from headgate.ext.route_table import normalize_path
from headgate.plugins.transform import Transform
from headgate.plugins.transform.pattern import compile_pattern
from headgate.plugins.transform.template import NAMES, in_field, parse
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hooks import load_type
from headgate.proxy.verdicts import Identity, Reject

from .exchanges import make_exchange

Pairs = list[tuple[str, str]]


def asked(options: dict[str, Any], *fields: tuple[str, str], target: str = "/v1/models", **more: Any) -> Exchange:
    checked = Transform.RouteOptions.model_validate(options)
    exchange = make_exchange(*fields, options={"transform": checked}, **more)
    request = exchange.request
    request.target, (request.path, _, request.query) = target, target.partition("?")
    return exchange


def fields_after(options: dict[str, Any], *fields: tuple[str, str], **more: Any) -> Pairs:
    exchange = asked({"request": options}, *fields, **more)
    assert Transform().headgate_request(exchange) is None
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.request.fields.raw]


def target_after(options: dict[str, Any], target: str, **more: Any) -> str | Reject:
    exchange = asked(options, target=target, **more)
    refused = Transform().headgate_request(exchange)
    request = exchange.request
    assert request.target == request.path + ("?" + request.query if "?" in request.target else "")
    return refused or request.target


def test_it_is_a_plugin_of_the_contract() -> None:
    kind = load_type("transform", EntryPoint("transform", "headgate.plugins.transform:Transform", "headgate.plugins"))
    assert kind.stages == {"request", "response_head"}
    assert kind.config is None


def test_a_route_without_options_is_left_alone() -> None:
    exchange, response = make_exchange(("a", "1"), ("Connection", "a")), Response(200)
    before = list(exchange.request.fields.raw)
    assert Transform().headgate_request(exchange) is None
    Transform().headgate_response_head(exchange, response)
    assert (exchange.request.fields.raw, response.fields.raw) == (before, [])


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"set": {"x-a": "new"}}, [("X-B", "2"), ("X-C", "3"), ("x-a", "new")]),
        ({"append": {"x-a": "new"}}, [("X-A", "1"), ("X-B", "2"), ("x-a", "1b"), ("X-C", "3"), ("x-a", "new")]),
        ({"remove": ["x-a", "X-C"]}, [("X-B", "2")]),
        ({"rename": {"x-a": "x-d"}}, [("X-B", "2"), ("X-C", "3"), ("x-d", "1"), ("x-d", "1b")]),
        ({"rename": {"x-a": "x-b"}}, [("X-C", "3"), ("x-b", "1"), ("x-b", "1b")]),
        ({"rename": {"x-none": "x-b"}}, [("X-A", "1"), ("X-B", "2"), ("x-a", "1b"), ("X-C", "3")]),
        (
            {"rename": {"x-b": "x-c", "x-c": "x-b"}},
            [("X-A", "1"), ("x-a", "1b"), ("x-c", "2"), ("x-b", "3")],
        ),
        (
            {"remove": ["x-a", "x-b"], "set": {"x-a": "s"}, "append": {"x-c": "4"}},
            [("X-C", "3"), ("x-a", "s"), ("x-c", "4")],
        ),
    ],
)
def test_fields_are_changed_in_their_order(options: dict[str, Any], wanted: Pairs) -> None:
    sent = (("X-A", "1"), ("X-B", "2"), ("x-a", "1b"), ("X-C", "3"))
    assert fields_after(options, *sent) == wanted
    response = Response(200)
    for pair in sent:
        response.fields.add(*pair)
    Transform().headgate_response_head(asked({"response": options}), response)
    assert [(name.decode(), value.decode()) for name, value in response.fields.raw] == wanted


NAMED = st.dictionaries(st.sampled_from(["x-a", "x-b", "x-c"]), st.text("abc", max_size=3))


@given(
    NAMED,
    st.lists(st.sampled_from(["x-a", "x-b", "x-c"])),
    st.lists(st.tuples(st.sampled_from(["X-A", "x-b"]), st.just("1"))),
)
def test_to_remove_and_set_twice_is_to_do_it_once(setting: dict[str, str], removed: list[str], sent: Pairs) -> None:
    options = {"set": setting, "remove": removed}
    once = fields_after(options, *sent)
    assert fields_after(options, *once) == once
    for name, value in setting.items():
        assert [text for key, text in once if key.lower() == name] == [value]


def test_placeholders_stand_for_what_is_known() -> None:
    text = " ".join(f"{{{name}}}" for name in NAMES)
    filled = fields_after({"set": {"x-a": text, "x-b": "{{{tenant}}}"}}, identity=Identity("k1", "acme"), model="m/1")
    assert filled == [("x-a", "request-1 k1 acme chat m/1 192.0.2.1"), ("x-b", "{acme}")]
    assert fields_after({"set": {"x-a": "<{key_id}{tenant}{model}>"}}, ("x-a", "forged")) == [("x-a", "<>")]


@given(st.text(max_size=600), st.text(max_size=20))
def test_no_value_writes_more_than_its_field(model: str, tenant: str) -> None:
    """Whatever clients and keys are called: one field, of visible ASCII, from which the value can be read back."""
    options = {"set": {"x-a": "{model}"}, "append": {"x-b": "1 {tenant}"}}
    filled = fields_after(options, model=model, identity=Identity("k", tenant))
    assert [name for name, _ in filled] == ["x-a", "x-b"]
    assert all(re.fullmatch(r"[ -~]*", value) for _, value in filled)
    assert unquote(filled[0][1]) == model[:256].encode(errors="replace").decode()
    raw = [(name.encode(), value.encode()) for name, value in filled]
    head = write_request_head(b"GET", b"/", [(b"Host", b"a"), *raw])
    assert head.data.count(b"\r\n") == 5


@given(st.characters(codec="utf-8"))
def test_what_is_written_into_fields_tells_every_character_from_every_other(character: str) -> None:
    assert unquote(in_field(character)) == character


PATHS = [
    ({"strip_prefix": "/api"}, "/api/x", "/x"),
    ({"strip_prefix": "/api"}, "/api", "/"),
    ({"strip_prefix": "/api"}, "/api/", "/"),
    ({"strip_prefix": "/api"}, "/apis/x", "/apis/x"),
    ({"strip_prefix": "/api"}, "/%61pi/x", "/x"),
    ({"strip_prefix": "/api"}, "/api/x?a=/api&b", "/x?a=/api&b"),
    ({"prefix": "/v2"}, "/x?", "/v2/x?"),
    ({"prefix": "/v2"}, "/", "/v2/"),
    ({"strip_prefix": "/v1", "prefix": "/v2"}, "/v1/x", "/v2/x"),
    ({"regex": {"match": r"/users/(\d+)/([^/]+)", "to": "/u/{2}/{1}"}}, "/users/17/a%20b", "/u/a%20b/17"),
    ({"regex": {"match": r"/users/(\d+)", "to": "/u/{1}"}}, "/users/17/x", "/users/17/x"),
    ({"regex": {"match": r"/x(.*)", "to": "/{tenant}/y{1}"}}, "/x/z", "/acme/y/z"),
    ({"regex": {"match": r"/(a?)x", "to": "/y{1}z"}}, "/x", "/yz"),
    ({"strip_prefix": "/v1", "regex": {"match": "/a", "to": "/b"}, "prefix": "/v2"}, "/v1/a", "/v2/b"),
]


@pytest.mark.parametrize(("edits", "target", "wanted"), PATHS)
def test_paths_are_rewritten(edits: dict[str, Any], target: str, wanted: str) -> None:
    assert target_after({"path": edits}, target, identity=Identity("k", "acme")) == wanted


@pytest.mark.parametrize(
    ("edits", "target"),
    [
        ({"strip_prefix": "/api"}, "/api//evil.example/x"),
        ({"strip_prefix": "/api"}, "/api/../x"),
        ({"strip_prefix": "/api"}, "/api/%2e%2e/x"),
        ({"strip_prefix": "/api"}, "/api/%2Fx"),
        ({"regex": {"match": "/x/(.*)", "to": "/{1}"}}, "/x/"[:-1] + "/" + "/evil.example"),
        ({"regex": {"match": "/x(.*)", "to": "/{1}"}}, "/x/evil.example"),
        ({"regex": {"match": "/x", "to": "/{model}/y"}}, "/x"),
        ({"prefix": "/v2"}, "/" + "a" * 9000),
    ],
)
def test_paths_that_could_be_read_in_two_ways_are_refused(edits: dict[str, Any], target: str) -> None:
    refused = target_after({"path": edits}, target, model="../..")
    assert isinstance(refused, Reject) and refused.kind == "bad_request"


@given(st.text(max_size=30), st.sampled_from(["/a/b", "/a/", "/a//b", "/a/%2e./b", "/x/y"]))
def test_no_path_leaves_the_host(model: str, path: str) -> None:
    """Whatever is filled in: the result is one path in its normal form, or a refusal."""
    edits = {"strip_prefix": "/a", "regex": {"match": "(/[^/]+)", "to": "/{model}{1}"}, "prefix": "/p"}
    found = target_after({"path": edits}, path, model=model)
    if isinstance(found, str):
        assert found.startswith("/p") and normalize_path(found) == found
        assert re.fullmatch(r"[!-~]+", found)


@pytest.mark.parametrize(
    ("edits", "target", "wanted"),
    [
        ({"set": {"a": "1"}}, "/x", "/x?a=1"),
        ({"set": {"a": "1"}}, "/x?a=2&b=%20&%61=3&c", "/x?b=%20&c&a=1"),
        ({"remove": ["a", "c d"]}, "/x?a=2&b&c+d=1&c%20d", "/x?b"),
        ({"remove": ["a"]}, "/x?a=2", "/x"),
        ({"remove": ["a"]}, "/x", "/x"),
        ({"set": {"a&b": "{tenant}=#\xe9"}}, "/x", "/x?a%26b=acme%3D%23%C3%A9"),
    ],
)
def test_queries_are_changed(edits: dict[str, Any], target: str, wanted: str) -> None:
    found = target_after({"query": edits}, target, identity=Identity("k", "acme"))
    assert found in (wanted, wanted + "?")
    again = target_after({"query": edits}, str(found), identity=Identity("k", "acme"))
    assert again == found


@given(st.text(max_size=30))
def test_no_value_is_more_than_one_parameter(model: str) -> None:
    found = str(target_after({"query": {"set": {"m": "{model}"}}}, "/x?b=1", model=model))
    sent = model.encode(errors="replace").decode()
    assert parse_qsl(found.partition("?")[2], keep_blank_values=True) == [("b", "1"), ("m", sent)]
    assert re.fullmatch(r"[!-~]+", found)


def test_options_of_the_server_as_a_whole_have_no_path() -> None:
    exchange = asked({"path": {"prefix": "/v2"}, "query": {"set": {"a": "1"}}}, target="*")
    exchange.request.path = "/"
    assert Transform().headgate_request(exchange) is None
    assert exchange.request.target == "*"


NOT_LINEAR = (r"(a+)+", r"(a*)*b", r"(a|a)*", r"a|b", r"(.*)/x", r"(.*)(.*)x", r".*.*", r"[^/]*\w", r"a?a", r"a{1,3}a")
NOT_READ = (
    r"(?:a)",
    r"(?=a)",
    r"a*?",
    r"a++",
    r"a{2}{3}",
    r"^/a",
    r"/a$",
    r"\1",
    r"\bx",
    "(",
    ")",
    "[",
    "a{",
    "x" * 513,
)


@pytest.mark.parametrize("pattern", [*NOT_LINEAR, *NOT_READ])
def test_patterns_that_are_not_surely_linear_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"wanted|got"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (r"/[^/]*/[^/]*/[^/]*/x(.*)", "/" + "/a" * 4000),
        (r"/\d*-?\w{0,200}.", "/" + "1" * 8000),
        (r"/(a*)(b*)(c*)d", "/" + "a" * 4000 + "b" * 3000 + "c" * 1000),
    ],
)
def test_patterns_are_matched_in_linear_time(pattern: str, path: str) -> None:
    try:
        compiled = compile_pattern(pattern)
    except ValueError:
        assert pattern.startswith(r"/\d*")  # a digit is one of \w
        return
    began = time.process_time()
    compiled.fullmatch(path)
    assert time.process_time() - began < 0.5  # in quadratic time it is 10 s


@given(st.text("/ab1-", max_size=12))
def test_a_pattern_means_what_re_means(path: str) -> None:
    for pattern in (r"/[^/]+/(.*)", r"/(a*)(b?)1{2,3}-?", r"[/a]+b"):
        assert bool(compile_pattern(pattern).fullmatch(path)) is bool(re.fullmatch(pattern, path))


@pytest.mark.parametrize("text", ["{", "}", "{x", "{nobody}", "{1}", "{Tenant}", "{}", "a}}}"])
def test_placeholders_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a brace itself is written twice"):
        parse(text)


@pytest.mark.parametrize("text", ["", "a", "{tenant}", "a {model}{client} {{b}}"])
def test_a_template_is_shown_as_it_was_written(text: str) -> None:
    assert str(parse(text)) == text


FIELDS = ("host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "x-headgate-target")
WRITTEN = ("via", "traceparent", "x-request-id", "x-forwarded-for", "x_forwarded_for", "forwarded", "x-real-ip")


def edits(name: str) -> list[dict[str, Any]]:
    """Every edit that would touch a field."""
    texts: list[dict[str, Any]] = [{"set": {name: "x"}}, {"append": {name: "x"}}]
    return [*texts, {"remove": [name]}, {"rename": {"x-a": name}}, {"rename": {name: "x-a"}}]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"request": edit}, "by the gateway itself|belongs to the") for name in FIELDS + WRITTEN for edit in edits(name)]
    + [({"response": {"set": {name: "x"}}}, "gateway") for name in (*FIELDS, "date", "x-request-id", "trailer")]
    + [
        ({"request": {"set": {"authorization": "x"}}}, "carries a credential"),
        ({"request": {"set": {"x-a": "a\r\nb: c"}}}, "one line"),
        ({"request": {"set": {"x-a": "{user}"}}}, "wanted one of `{request_id}`"),
        ({"request": {"set": {"x-a": "1", "X-A": "2"}}}, "the same field"),
        ({"request": {"set": {"x a": "1"}}}, "wanted a field name"),
        ({"path": {"strip_prefix": "api"}}, "beginning of a path"),
        ({"path": {"strip_prefix": "/api/"}}, "beginning of a path"),
        ({"path": {"prefix": "//evil.example"}}, "beginning of a path"),
        ({"path": {"prefix": "/a/.."}}, "beginning of a path"),
        ({"path": {"regex": {"match": "(a+)+", "to": "/"}}}, "repeated"),
        ({"path": {"regex": {"match": "(a)", "to": "/{2}"}}}, "wanted one of `.1.`"),
        ({"path": {"regex": {"match": "(a)", "to": "http://evil.example/"}}}, "pattern"),
        ({"host": "evil.example"}, "Extra inputs"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Transform.RouteOptions.model_validate(options)


CONFIG = """
listeners: [{address: "127.0.0.1:0"}]
clusters: {up: {endpoints: ["http://127.0.0.1:1"]}}
plugins: {transform: {}}
routes:
  - match: {path: /}
    targets: [up]
    stages: {request: [transform]}
    plugins:
      transform:
        path: {regex: {match: "(.*)/x", to: "/y"}}
        request: {set: {content-length: "5"}}
"""


def test_what_is_refused_is_told_with_its_place() -> None:
    schemas = {"transform": PluginSchema("transform", None, Transform.RouteOptions, frozenset({"request"}))}
    with pytest.raises(ConfigErrors) as told:
        check(CONFIG, schemas, {})
    regex, field = str(told.value).splitlines()
    assert regex.startswith("<text>:11:31: routes[0].plugins.transform.path.regex.match: `.*` may go on over")
    assert field.startswith("<text>:12:25: routes[0].plugins.transform.request.set.content-length: `content-length`")
