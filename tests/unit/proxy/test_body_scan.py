"""What is read of a JSON body, and that rewriting the model changes nothing else."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.ext.head_scan import BodyScan, scan_head
from headgate.proxy import body_scan
from headgate.proxy.body_scan import scan
from headgate.proxy.errors import GatewayError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts | st.sampled_from(("stream", "models", "n")), values, max_size=5)
spaces = st.text(" \t\r\n", max_size=2)


@st.composite
def bodies(draw: st.DrawFn, names: st.SearchStrategy[Any]) -> bytes:
    """Draw a JSON object as some client might write it; `names` gives the model's value, if any."""
    members = list(draw(objects).items())
    members = [(key, value) for key, value in members if key.lower() != "model"]
    name = draw(names)
    if name is not None:
        members.insert(draw(st.integers(0, len(members))), ("model", name))
    is_ascii = draw(st.booleans())
    parts = []
    for key, value in members:
        before, after, end = draw(spaces), draw(spaces), draw(spaces)
        key_text, value_text = json.dumps(key, ensure_ascii=is_ascii), json.dumps(value, ensure_ascii=is_ascii)
        parts.append(f"{before}{key_text}{after}:{before}{value_text}{end}")
    text = draw(spaces) + "{" + draw(spaces) + ",".join(parts) + "}" + draw(spaces)
    return text.encode()


@given(bodies(texts | st.none()))
def test_model_and_stream_are_what_a_full_parser_reads(body: bytes) -> None:
    found, whole = scan(body), orjson.loads(body)
    assert found.model == whole.get("model")
    assert found.is_stream == (whole.get("stream") is True)


@given(bodies(texts), texts)
def test_another_model_changes_nothing_else(body: bytes, model: str) -> None:
    found = scan(body)
    changed = found.with_model(model)
    assert scan(changed).model == model
    start, end = found.model_span
    shift = len(changed) - len(body)
    assert changed[:start] == body[:start]
    assert changed[end + shift :] == body[end:]
    assert {**orjson.loads(body), "model": model} == orjson.loads(changed)
    assert json.loads(body[start:end]) == found.model


@given(bodies(st.none()), texts)
@example(b"{}", "m")
@example(b" { \n} ", "m")
def test_a_model_is_put_in_where_there_is_none(body: bytes, model: str) -> None:
    changed = scan(body).with_model(model)
    assert orjson.loads(changed) == {**orjson.loads(body), "model": model}
    assert scan(changed).model == model
    rest = changed.replace(b'"model": ' + json.dumps(model, ensure_ascii=False).encode(), b"", 1)
    assert rest.replace(b", ", b"", 1) == body or rest == body


def kind_of(body: bytes) -> str | BodyScan:
    try:
        return scan(body)
    except GatewayError as error:
        return error.kind.name


@given(st.binary(max_size=40) | st.text('{}[]":,\\ud8mode1.eE+-tfn \n', max_size=30).map(str.encode))
@example(b'{"a":1e999}')
@example(b'{"a":"\\ud83d\\ude00"}')
@example(b'{"a":"\\ude00\\ud83d"}')
@example(b'\xef\xbb\xbf{"model":"m"}')
def test_whatever_comes_is_read_or_refused_and_nothing_else(body: bytes) -> None:
    found = kind_of(body)
    try:
        whole = orjson.loads(body)
    except orjson.JSONDecodeError:
        whole = None
    if isinstance(found, BodyScan):
        # The standard parser takes numbers out of range, too; they are no member that is read here.
        assert whole is None or (found.model, found.is_stream) == (whole.get("model"), whole.get("stream") is True)
        assert isinstance(json.loads(body), dict)
    else:
        assert found == "bad_body"
        is_plain = isinstance(whole, dict) and isinstance(whole.get("model", ""), str)
        assert not is_plain or sum(key.lower() == "model" for key, _ in pairs(body)) > 0


def pairs(body: bytes) -> list[tuple[str, Any]]:
    return list(json.loads(body, object_pairs_hook=lambda members: members))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{",
        b'{"model":"a"',
        b'{"model":"a",}',
        b'{"model":"a"}x',
        b'{"model":"a"}{"model":"b"}',
        b'{"model":"a","model":"a"}',
        b'{"model":"a","\\u006d\\u006F\\u0064el":"b"}',
        b'{"model":"a","Model":"b"}',
        b'{"MODEL":"a"}',
        b'{"model":1}',
        b'{"model":["a"]}',
        b'{"model":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":Infinity}',
        b'{"a":-NaN}',
        b'{"a":"\x01"}',
        b'{"a":01}',
        b"{'model':'a'}",
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"9" * 5_000 + b"}",
    ],
)
def test_what_two_readers_might_read_differently_is_refused(body: bytes) -> None:
    assert kind_of(body) == "bad_body"


def test_the_error_says_what_to_mend_without_repeating_the_body() -> None:
    with pytest.raises(GatewayError) as raised:
        scan(b'{"model":"secret-1","model":"secret-2"}')
    assert raised.value.public == "the body names `model` more than once"
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "is_wanted"),
    [
        (b'{"include_usage": true}', True),
        (b'{"include_usage": 1}', False),
        (b'{"include_usage": false}', False),
        (b"{}", False),
        (b"null", False),
        (b"[true]", False),
    ],
)
def test_whether_the_usage_is_wanted(options: bytes, is_wanted: bool) -> None:
    for model in (b"", b'"model": "m", '):
        assert scan(b'{%b"stream_options": %b}' % (model, options)).is_usage_wanted is is_wanted
    assert scan(b"{}").is_usage_wanted is False


@pytest.mark.parametrize(
    "odd", [b'"\\u00e9": 1', b'"x": 1e200', b'"n": 2.0', b'"user": "a\\nb"', b'"stream": 1', b'"seed": "1"']
)
def test_what_is_odd_is_read_by_the_full_parser(odd: bytes) -> None:
    body = '{"y": "é", %s, "max_tokens": 5, "model" : "é", "prompt": "你", "temperature": 0}'.encode() % odd
    found = scan(body)
    assert scan_head(body) is None
    assert (found.model, found.max_tokens, found.num_choices, found.is_stream) == ("é", 5, 1, False)
    assert found.with_model("m") == body.replace('"model" : "é"'.encode(), b'"model" : "m"')
    assert found.prompt_span is not None
    assert body[slice(*found.prompt_span)] == '"你"'.encode()


@pytest.mark.parametrize("is_compiled", [True, False])
def test_without_a_compiled_head_scan_only_the_full_parser_is_asked(
    monkeypatch: pytest.MonkeyPatch, is_compiled: bool
) -> None:
    asked: list[bytes] = []

    def scan_head(body: bytes) -> None:
        asked.append(body)

    monkeypatch.setattr(body_scan, "scan_head", scan_head)
    monkeypatch.setattr(body_scan, "IS_COMPILED", is_compiled)
    assert scan(b'{"model": "m"}').model == "m"
    assert asked == [b'{"model": "m"}'] * is_compiled


def test_of_a_name_that_stands_twice_the_last_counts() -> None:
    found = scan(b'{"n": 2, "n": 3, "seed": 1, "seed": "2", "user": "a", "user": "b", "prompt": "a", "prompt": "bc"}')
    assert (found.n, found.seed, found.user) == (3, None, "b")
    assert found.prompt_span is not None
    assert found.body[slice(*found.prompt_span)] == b'"bc"'


def test_a_stream_that_is_asked_for_once_is_one() -> None:
    assert scan(b'{"stream": true, "stream": false}').is_stream is True
    assert scan(b'{"stream_options": {"include_usage": true}, "stream_options": null}').is_usage_wanted is True
