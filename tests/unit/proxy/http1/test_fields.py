"""Field lists: look-up and hop-by-hop removal."""

from __future__ import annotations

import pytest

from headgate.proxy.http1 import fields as field_list

FIELDS = [(b"Host", b"a"), (b"X-A", b"1"), (b"x-a", b"2"), (b"Cookie", b"c")]


def test_reads() -> None:
    assert field_list.get(FIELDS, b"x-a") == b"1"
    assert field_list.get(FIELDS, b"x-b") is None
    assert field_list.get_all(FIELDS, b"x-a") == [b"1", b"2"]
    assert field_list.get_members([(b"Connection", b"A, ,b"), (b"connection", b"C")], b"connection") == [
        b"a",
        b"b",
        b"c",
    ]


def test_writes_copies() -> None:
    assert field_list.without(FIELDS, b"x-a", b"host") == [(b"Cookie", b"c")]
    assert field_list.replaced(FIELDS, b"X-A", b"9") == [(b"Host", b"a"), (b"X-A", b"9"), (b"Cookie", b"c")]
    assert field_list.replaced(FIELDS, b"X-B", b"9")[-1] == (b"X-B", b"9")
    assert len(FIELDS) == 4


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Connection",
        b"Proxy-Authenticate",
        b"Proxy-Authorization",
        b"TE",
        b"Trailer",
        b"Transfer-Encoding",
        b"UPGRADE",
    ],
)
def test_hop_by_hop_fields_stay_here(name: bytes) -> None:
    assert field_list.end_to_end([(b"Host", b"a"), (name, b"x")]) == [(b"Host", b"a")]


def test_named_fields_stay_here() -> None:
    pairs = [(b"Connection", b"close, X-Hop"), (b"connection", b"x-other"), (b"X-HOP", b"1"), (b"X-Other", b"2")]
    assert field_list.end_to_end([*pairs, (b"X-Kept", b"3")]) == [(b"X-Kept", b"3")]


@pytest.mark.parametrize(
    "name",
    [
        *(b"Host", b"Content-Length", b"Content-Type", b"Authorization", b"Cookie", b"Set-Cookie", b"Cache-Control"),
        *(b"X-Forwarded-For", b"X-Headgate-Target", b"Forwarded", b"Vary", b"traceparent"),
    ],
)
def test_critical_fields_cannot_be_named(name: bytes) -> None:
    assert field_list.end_to_end([(b"Connection", name.lower()), (name, b"1")]) == [(name, b"1")]
