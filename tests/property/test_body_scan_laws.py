"""Laws of the two ways to read a body: what the head scan takes, the full parse takes, and tells the same of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import implementation
from headgate.ext.head_scan import BodyScan
from headgate.proxy.body_scan import scan, scan_whole
from headgate.proxy.errors import GatewayError

from .ext.body_writer import BodyWriter

NAMES = [field.name for field in fields(implementation("head_scan", "twin").BodyScan)]
writers = st.integers(0, 2**32).map(BodyWriter)


def told(read: Callable[[bytes], BodyScan], body: bytes) -> dict[str, Any] | tuple[str, str | None]:
    """Everything a scan says, or the kind and text of its refusal."""
    try:
        found = read(body)
    except GatewayError as error:
        return error.kind.name, error.public
    facts = {name: getattr(found, name) for name in NAMES}
    return facts | {"changed": found.with_model("é"), "hashes": found.prefix_hashes()}


@settings(max_examples=60)
@given(writer=writers)
def test_both_ways_tell_the_same(writer: BodyWriter) -> None:
    for _ in range(50):
        for body in (writer.body(), writer.plain()):
            assert told(scan, body) == told(scan_whole, body), body


@settings(max_examples=500)
@given(body=st.binary(max_size=40) | st.text('{}[]":,\\ud8nmode1.-+tfu \n\x00é😀', max_size=40).map(str.encode))
def test_both_ways_tell_the_same_whatever_comes(body: bytes) -> None:
    for each in (body, b'{"model":"m",' + body, b'{"a":' + body + b"}", b'{"a":"' + body + b'"}'):
        assert told(scan, each) == told(scan_whole, each)
