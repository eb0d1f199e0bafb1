"""The head scan: as the twin, as orjson, and as the full parse of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import orjson

from headgate.ext import implementation
from headgate.ext.head_scan import BodyScan
from headgate.proxy.body_scan import scan_whole

from ...property.ext.body_writer import CHARACTERS, ESCAPES, BodyWriter
from ...property.ext.sse_writer import FRAGMENTS
from ...property.ext.test_head_scan_laws import check as assert_orjson_agrees

COMPILED, TWIN = implementation("head_scan", "compiled"), implementation("head_scan", "twin")
NAMES = [field.name for field in fields(TWIN.BodyScan)]
MAX_BYTES = 2048
TOKENS = (
    *FRAGMENTS,
    *(each.encode("utf-8", "surrogatepass") for each in (*CHARACTERS, *ESCAPES)),
    *(
        b'{"model":"m"',
        b'"messages":[',
        b'"prompt":',
        b'"stream":true',
        b'"stream_options":{"include_usage":',
        b'"user":',
        b'"usage":{"prompt_tokens":',
        b'"completion_tokens":',
    ),
    *(b'"n":', b'"max_tokens":', b'"max_completion_tokens":', b'"seed":', b"true", b"false", b"1e99", b"-0.5"),
)


def check(data: bytes) -> None:
    """Raises: AssertionError."""
    assert COMPILED.read_usage(data) == TWIN.read_usage(data)
    found, twin = COMPILED.scan_head(data), TWIN.scan_head(data)
    assert (found is None) == (twin is None)
    if found is None:
        return
    assert told(found) == told(twin) == told(scan_whole(data))
    assert repr(found) == repr(twin)
    assert_orjson_agrees(found, orjson.loads(data))


def told(found: BodyScan) -> dict[str, Any]:
    """Return all that a scan says."""
    facts = {name: getattr(found, name) for name in NAMES}
    return facts | {"changed": found.with_model("é"), "hashes": found.prefix_hashes(), "choices": found.num_choices}


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    for seed in range(300):
        writer = BodyWriter(seed)
        yield writer.body()
        yield writer.plain()
