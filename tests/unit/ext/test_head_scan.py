"""The head scan by example: what is told, what is odd, and another model."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from types import ModuleType
from typing import Any

import orjson
import pytest

from headgate.ext.head_scan import BodyScan

from .json_values import NO_STRINGS, NO_VALUES, STRINGS, VALUES

Scan = Callable[[bytes], BodyScan | None]
WHOLE = (
    b'{"model": "m-1", "stream": true, "stream_options": {"include_usage": true}, "n": 2, "max_tokens": 16,'
    b' "max_completion_tokens": 32, "seed": -7, "user": "u", "messages": [{"role": "user", "content": "\xc3\xa9"}]}'
)


def test_what_is_told(scan_head: Scan) -> None:
    found = scan_head(WHOLE)
    assert found is not None
    assert found.body is WHOLE
    assert (found.model, found.user, found.is_stream, found.is_usage_wanted) == ("m-1", "u", True, True)
    assert (found.n, found.num_choices) == (2, 2)
    assert (found.max_tokens, found.max_completion_tokens, found.seed) == (16, 32, -7)
    assert WHOLE[slice(*found.model_span)] == b'"m-1"'
    assert found.prompt_span is not None
    assert WHOLE[slice(*found.prompt_span)] == '[{"role": "user", "content": "é"}]'.encode()


@pytest.mark.parametrize("body", [b"{}", b" \t\r\n{ \t\r\n} \t\r\n", b'{"a": {"model": "m", "n": 2}}'])
def test_what_is_not_told(scan_head: Scan, body: bytes) -> None:
    first = body.index(b"{") + 1
    expected = (None, None, False, False, None, 1, None, None, None, None, (first, first))
    found = scan_head(body)
    assert found is not None
    assert expected == (
        *(found.model, found.user, found.is_stream, found.is_usage_wanted, found.n, found.num_choices),
        *(found.max_tokens, found.max_completion_tokens, found.seed, found.prompt_span, found.model_span),
    )


@pytest.mark.parametrize(
    ("member", "name", "value"),
    [
        (b'"model": "m\xc3\xa9"', "model", "mé"),
        (b'"model": ""', "model", ""),
        (b'"stream": false', "is_stream", False),
        (b'"stream": null', "is_stream", False),
        (b'"stream_options": null', "is_usage_wanted", False),
        (b'"stream_options": {}', "is_usage_wanted", False),
        (b'"stream_options": {"include_usage": null}', "is_usage_wanted", False),
        (b'"stream_options": {"include_usage": false}', "is_usage_wanted", False),
        (b'"stream_options": {"x": {"include_usage": 1}, "include_usage" : true , "y": []}', "is_usage_wanted", True),
        (b'"user": null', "user", None),
        (b'"user": "\xf0\x9f\x98\x80"', "user", "\U0001f600"),
        (b'"n": null', "n", None),
        (b'"n": 0', "n", 0),
        (b'"n": 0', "num_choices", 1),
        (b'"n": -0', "n", 0),
        (b'"n": -2', "num_choices", 1),
        (b'"n": 128', "num_choices", 128),
        (b'"n": 129', "num_choices", 1),
        (b'"seed": 999999999999999999', "seed", 10**18 - 1),
        (b'"seed": -999999999999999999', "seed", 1 - 10**18),
        (b'"max_tokens": null', "max_tokens", None),
        (b'"Stream": 1', "is_stream", False),
        (b'"modem": 1', "model", None),
        (b'"models": 1', "model", None),
        (b'"x": {"\\u006dodel": 1}', "model", None),
    ],
)
def test_a_fact(scan_head: Scan, member: bytes, name: str, value: object) -> None:
    for body in (b"{%b}" % member, b'{"a": 1,\n%b\t}' % member, b'{%b ,"a": "b"}' % member):
        found = scan_head(body)
        assert found is not None
        assert getattr(found, name) == value
        assert type(getattr(found, name)) is type(value)


@pytest.mark.parametrize(
    "member",
    [
        *(b'"model": null', b'"model": 1', b'"model": ["m"]', b'"model": "\\u006d"', b'"model": "a\\/b"'),
        *(b'"Model": "m"', b'"MODEL": 1', b'"mODEl": null', b'"\\u006dodel": "m"', b'"a\\n": 1'),
        *(b'"stream": 1', b'"stream": "true"', b'"stream": {}', b'"stream": tru', b'"stream": falsy'),
        *(b'"stream_options": []', b'"stream_options": true', b'"stream_options": {"include_usage": 1}'),
        *(b'"stream_options": {"include_usage": true, "include_usage": true}', b'"stream_options": {"\\u0061": 1}'),
        *(b'"stream_options": {"a": 01}', b'"stream_options": {"include_usage": true', b'"stream_options": "a"'),
        *(b'"n": 1.0', b'"n": 1e0', b'"n": "1"', b'"n": true', b'"n": []', b'"n": -', b'"n": --1', b'"n": 01'),
        *(b'"seed": 1000000000000000000', b'"seed": -1000000000000000000', b'"seed": -"1"'),
        *(b'"max_tokens": 1.5', b'"max_completion_tokens": "a"', b'"user": 1', b'"user": "\\n"', b'"user": {}'),
        *(b'"x": 1e100', b'"x": 1E+999', b'"x": ' + b"9" * 41, b'"x": -' + b"9" * 40, b'"x": "\\ud83d"'),
    ],
)
def test_what_is_odd(scan_head: Scan, member: bytes) -> None:
    for body in (b"{%b}" % member, b'{"a": 1,\n%b\t}' % member, b'{%b ,"a": "b"}' % member):
        assert scan_head(body) is None


@pytest.mark.parametrize(
    "member",
    [
        *(b'"model": "m"', b'"stream": true', b'"stream": null', b'"stream_options": {}', b'"n": 1'),
        *(b'"max_tokens": 1', b'"max_completion_tokens": 1', b'"seed": 1', b'"user": "u"', b'"user": null'),
        *(b'"messages": []', b'"messages": null', b'"prompt": "p"'),
    ],
)
def test_a_name_that_matters_and_stands_twice_is_odd(scan_head: Scan, member: bytes) -> None:
    assert scan_head(b"{%b}" % member) is not None
    assert scan_head(b'{%b, "a": 1, %b}' % (member, member)) is None


def test_another_name_may_stand_twice(scan_head: Scan) -> None:
    assert scan_head(b'{"a": 1, "a": 2, "Stream": 1, "Stream": 2}') is not None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b"}", b"[]", b"1", b"null", b'"a"', b"{}{}", b"{}x", b"{} \x00", b"\x00{}", b"{}]"),
        *(b"\xef\xbb\xbf{}", b"{}\xef\xbb\xbf", b"\x0b{}", b"{\x0c}", b"{}\xc2\xa0", b"\xff\xfe{\x00}\x00", b"//\n{}"),
        *(b'{"a": 1,}', b'{,"a": 1}', b'{"a" 1}', b'{"a": 1 "b": 2}', b"{'a': 1}", b'{"a"}', b'{"a":}', b"{1: 1}"),
    ],
)
def test_what_is_no_object_is_odd(scan_head: Scan, body: bytes) -> None:
    assert scan_head(body) is None


IN_MEMBERS = (
    b'{"x":%b}',
    b'{"messages" : %b , "a": "b"}',
    b'{"a":[0, %b]}',
    b'{"a":{"b":%b},"prompt":1}',
    b'{"stream_options":{"b":%b}}',
)


@pytest.mark.parametrize("place", IN_MEMBERS)
def test_any_value_may_stand_where_none_is_asked_for(scan_head: Scan, place: bytes) -> None:
    for value in VALUES:
        depth = 1 + (value.count(b"[") + value.count(b"{")) + place.count(b"[") + place.count(b'"b":')
        assert (scan_head(place % value) is None) is (depth > 128 or value == b"1e308"), value


@pytest.mark.parametrize("place", IN_MEMBERS)
def test_a_body_is_odd_where_its_json_is_wrong(scan_head: Scan, place: bytes) -> None:
    for value in NO_VALUES:
        assert scan_head(place % value) is None, value


@pytest.mark.parametrize("wide", ["", "é", "你", "😀", "aé你😀" * 3])
def test_strings_are_checked_wherever_they_stand(scan_head: Scan, wide: str) -> None:
    """Long ones are read in steps of 16 bytes: each of them has to see what is odd at its beginning, end and border."""
    for size, between, behind in product((0, 2, 3, 13), range(34), (0, 1, 40)):
        start, end = b"x" * size + wide.encode() + b"z" * between, b"y" * behind
        for text in STRINGS:
            assert scan_head(b'{"a":"%b%b%b"}' % (start, text, end)) is not None, (start, text, end)
        for text in NO_STRINGS:
            assert scan_head(b'{"a":"%b%b%b"}' % (start, text, end)) is None, (start, text, end)


@pytest.mark.parametrize("lead", [0x41, 0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF])
@pytest.mark.parametrize("size", [0, 2, 3, 13, 17])
def test_characters_of_two_and_three_bytes_are_those_of_utf_8(scan_head: Scan, lead: int, size: int) -> None:
    check_characters(scan_head, lead, size)


@pytest.mark.parametrize("lead", [0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF])
@pytest.mark.parametrize("size", [0, 2, 3, 13, 17])
def test_characters_of_four_bytes_are_those_of_utf_8(scan_head: Scan, lead: int, size: int) -> None:
    check_characters(scan_head, lead, size)


def check_characters(scan_head: Scan, lead: int, size: int) -> None:
    """Read `lead` with all that may and may not follow, behind `size` bytes, with many bytes behind it and with few."""
    borders = (0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xF0)
    for rest, end in product(product(borders, repeat=3), (b"", b"y" * 30)):
        character = bytes((lead, *rest))
        for text in (character, b"\xc3\xa9" + character):
            body = b'{"a":"%b%b%b"}' % (b"x" * size, text, end)
            assert (scan_head(body) is not None) is is_utf_8(text), body


def is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_members_are_counted(scan_head: Scan) -> None:
    members = [f'"a{number}": 0' for number in range(1001)]
    assert scan_head(f"{{{','.join(members[:1000])}}}".encode()) is not None
    assert scan_head(f"{{{','.join(members)}}}".encode()) is None
    assert scan_head(f'{{"a": {{{",".join(members)}}}}}'.encode()) is not None


def test_every_cut_and_every_other_byte_is_read_as_by_a_full_parser(scan_head: Scan) -> None:
    whole = WHOLE.replace(b'"u"', b'"\\ud83d\\ude00 and a text of some length"').replace(b'"user": ', b'"x": ')
    assert scan_head(whole) is not None
    changed = [whole[:at] for at in range(len(whole))]
    changed += [whole[:at] + whole[at + 1 :] for at in range(len(whole))]
    for byte in (
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"0",
        b"-",
        b"u",
        b"\x00",
        b"\x1f",
        b"\x80",
        b"\xe4",
    ):
        changed += [whole[:at] + byte + whole[at + size :] for at in range(len(whole)) for size in (0, 1)]
    taken = [body for body in changed if (found := scan_head(body)) is not None and is_right(found)]
    assert taken == [body for body in changed if scan_head(body) is not None]
    assert len(taken) > 1000


def is_right(found: BodyScan) -> bool:
    """Whether orjson reads the same."""
    value: dict[str, Any] = orjson.loads(found.body)
    names = ("model", "user", "n", "max_tokens", "max_completion_tokens", "seed")
    is_usage_wanted = (value.get("stream_options") or {}).get("include_usage") is True
    return [getattr(found, name) for name in names] == [value.get(name) for name in names] and (
        (found.is_stream, found.is_usage_wanted) == (value.get("stream") is True, is_usage_wanted)
    )


# Another model.


@pytest.mark.parametrize("model", ["", "other", "a/b:c", "é😀", '"\\\b\f\n\r\t\x00\x1f\x7f'])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b'"a": [1.50, "\\u00e9"], ', b',"stream" :true '),
        ('"a": "你", '.encode(), ', "b": "é"'.encode()),
    ],
)
def test_another_model_stands_in_its_place(scan_head: Scan, model: str, before: bytes, after: bytes) -> None:
    found = scan_head(b' {%b"model" : "m\xc3\xa9"%b}\n' % (before, after))
    written = json.dumps(model, ensure_ascii=False).encode()
    assert found is not None
    assert found.with_model(model) == b' {%b"model" : %b%b}\n' % (before, written, after)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b"{}", b'{"model": "m"}'),
        (b" { \n} ", b' {"model": "m" \n} '),
        (b'{"a":1}', b'{"model": "m", "a":1}'),
        (b'\n{ "a":1}', b'\n{"model": "m",  "a":1}'),
    ],
)
def test_a_model_is_put_first_where_there_is_none(scan_head: Scan, body: bytes, changed: bytes) -> None:
    found = scan_head(body)
    assert found is not None
    assert found.with_model("m") == changed


def test_half_a_character_is_no_model(scan_head: Scan) -> None:
    found = scan_head(b"{}")
    assert found is not None
    with pytest.raises(TypeError, match="surrogates"):
        found.with_model("\ud800")


# A scan that somebody else made.


def test_scans_are_values(head_scan_module: ModuleType) -> None:
    made = head_scan_module.BodyScan(
        *(WHOLE, "m-1", (10, 15)),
        is_stream=True,
        is_usage_wanted=True,
        n=2,
        max_tokens=16,
        max_completion_tokens=32,
        seed=-7,
        user="u",
        prompt_span=(WHOLE.index(b"["), len(WHOLE) - 1),
    )
    found = head_scan_module.scan_head(WHOLE)
    assert made == found and hash(made) == hash(found)
    assert made != head_scan_module.scan_head(WHOLE.replace(b"16", b"17")) and made != WHOLE
    assert repr(made) == repr(found)
    assert repr(made) == (
        f"BodyScan(model='m-1', model_span=(10, 15), is_stream=True, is_usage_wanted=True, n=2, max_tokens=16, "
        f"max_completion_tokens=32, seed=-7, user='u', prompt_span={made.prompt_span})"
    )
    with pytest.raises(AttributeError):
        made.model = "other"


def test_a_scan_of_nothing_but_a_body(head_scan_module: ModuleType) -> None:
    made: BodyScan = head_scan_module.BodyScan(b"{ }", None, (1, 1))
    assert made == head_scan_module.scan_head(b"{ }")
    assert made.prefix_hashes() == ()


@pytest.mark.parametrize("span", [(-1, 1), (0, 3), (2, 1), (3, 3)])
def test_a_span_has_to_be_inside_the_body(head_scan_module: ModuleType, span: tuple[int, int]) -> None:
    problem = rf"expected a span inside 2 bytes, got {span[0]} to {span[1]}"
    with pytest.raises(ValueError, match=problem):
        head_scan_module.BodyScan(b"{}", None, span)
    with pytest.raises(ValueError, match=problem):
        head_scan_module.BodyScan(b"{}", None, (1, 1), prompt_span=span)
