"""The plugin `transform_body`: members that are set and removed, and all that stays as it came."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headgate.plugins.transform_body import TransformBody
from headgate.proxy.errors import GatewayError
from headgate.proxy.hooks import load_type
from headgate.proxy.lane.body import WholeBody
from headgate.proxy.verdicts import Identity, Reject

from .exchanges import make_exchange


def after(options: dict[str, Any], data: bytes, *fields: tuple[str, str], **more: Any) -> bytes | Reject:
    checked = TransformBody.RouteOptions.model_validate(options)
    exchange = make_exchange(*fields, options={"transform_body": checked}, **more)
    body = exchange.request.body = WholeBody(len(data))
    body.complete(data)
    refused = asyncio.run(TransformBody().headgate_request(exchange))
    assert body.length == len(body.data)
    return refused or body.data


def test_it_is_a_plugin_of_the_contract() -> None:
    point = EntryPoint("transform_body", "headgate.plugins.transform_body:TransformBody", "headgate.plugins")
    assert load_type("transform_body", point).stages == {"request"}


@pytest.mark.parametrize(
    ("options", "sent", "wanted"),
    [
        ({"set": {"a": 1}}, b"{}", b'{"a":1}'),
        ({"set": {"a": None}}, b' { "b" : 1.00 , "a": 2e5, "c": [1, 2] } ', b'{"b":1.00,"c":[1, 2],"a":null}'),
        ({"set": {"a": [1, {"b": "{x}"}]}}, b'{"a":1,"a":2}', b'{"a":[1, {"b": "{x}"}]}'),
        ({"remove": ["a"]}, b'{"\\u0061":1,"b":{"a":1}}', b'{"b":{"a":1}}'),
        ({"remove": ["a"], "set": {"a": True}}, b'{"a":1}', b'{"a":true}'),
        ({"set": {"user": "{tenant}/{key_id}"}}, b'{"user":"forged"}', b'{"user":"acme/k\\"1"}'),
        ({"set": {"n": 10**20}}, b'{"x":12345678901234567890}', b'{"x":12345678901234567890,"n":%d}' % 10**20),
        ({}, b"no JSON", b"no JSON"),
        ({"set": {"a": 1}}, b"", b""),
    ],
)
def test_members_are_changed_and_nothing_else(options: dict[str, Any], sent: bytes, wanted: bytes) -> None:
    assert after(options, sent, identity=Identity('k"1', "acme")) == wanted


LEAVES = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
NAMES = st.text(min_size=1, max_size=5).filter(lambda name: name.lower() != "model")


@given(
    st.dictionaries(st.text(max_size=5), JSON), st.dictionaries(NAMES, st.integers()), st.lists(NAMES), st.booleans()
)
def test_it_does_what_a_mapping_would(
    sent: dict[str, Any], setting: dict[str, int], removed: list[str], is_ascii: bool
) -> None:
    data = json.dumps(sent, ensure_ascii=is_ascii).encode(errors="surrogatepass" if is_ascii else "replace")
    found = after({"set": setting, "remove": removed}, data)
    assert isinstance(found, bytes)
    known = json.loads(data)
    wanted = {name: value for name, value in known.items() if name not in removed} | setting
    assert json.loads(found) == (wanted if setting or removed else known)
    assert after({"set": setting, "remove": removed}, found) == found or not (setting or removed)


@given(st.text())
def test_no_value_ends_its_text(model: str) -> None:
    found = after({"set": {"m": "{model}"}}, b'{"a":1}', model=model)
    assert isinstance(found, bytes)
    assert json.loads(found) == {"a": 1, "m": model[:256]}


@pytest.mark.parametrize("sent", [b"[]", b'{"a":1', b'{"a":1}{}', b"\xff", b'{"a":NaN}', b'{"a":' + b"[" * 100_000])
def test_what_is_no_object_is_refused(sent: bytes) -> None:
    with pytest.raises(GatewayError, match="bad_body"):
        after({"set": {"a": 1}}, sent)


def test_what_is_too_large_or_compressed_is_refused() -> None:
    with pytest.raises(GatewayError, match="body_too_large"):
        after({"set": {"a": 1}, "max_body": 10}, b'{"a":  1  }')
    refused = after({"set": {"a": 1}}, b'{"a":1}', ("Content-Encoding", "gzip"))
    assert isinstance(refused, Reject) and refused.kind == "bad_body"


def test_digests_of_the_body_that_came_are_not_sent_on() -> None:
    checked = TransformBody.RouteOptions.model_validate({"set": {"a": 1}})
    sent = (("Content-Digest", "x"), ("Content-MD5", "x"), ("Content-Type", "a/json"))
    exchange = make_exchange(*sent, options={"transform_body": checked})
    body = exchange.request.body = WholeBody(2)
    body.complete(b"{}")
    asyncio.run(TransformBody().headgate_request(exchange))
    assert list(exchange.request.fields) == ["content-type"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"set": {"model": "x"}}, "wanted the model of a target"),
        ({"remove": ["Model"]}, "wanted the model of a target"),
        ({"set": {"a": float("nan")}}, "wanted a JSON value"),
        ({"set": {"a": "{nobody}"}}, "wanted one of"),
        ({"max_body": "64MiB"}, "less than or equal to"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TransformBody.RouteOptions.model_validate(options)
