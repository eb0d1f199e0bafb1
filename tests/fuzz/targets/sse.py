"""Server-sent events: the same for any pieces, joined back to the stream, and read as the twin reads them."""

from __future__ import annotations

from collections.abc import Iterator

from headgate.ext import implementation

from ...property.ext.sse_writer import FRAGMENTS, Writer
from ...property.ext.test_sse_laws import fields, judge, scan
from ..draws import Draws, bytewise

COMPILED, TWIN = implementation("sse", "compiled"), implementation("sse", "twin")
LIMITS = (1 << 20, 3, 7, 20, 100)
MAX_BYTES = 1024
TOKENS = (
    *FRAGMENTS,
    *(
        b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n',
        b'"usage":{"prompt_tokens":1}',
    ),
    *(b'"delta":{', b'"finish_reason":"stop"', b'"completion_tokens":', b'"tool_calls":[', b'"text":"', b'"model":"m"'),
)


def check(data: bytes) -> None:
    """The first byte chooses the limit of an event and how many choices were asked for. Raises: AssertionError."""
    draws = Draws(data)
    choice = draws.number()
    limit_bytes, num_choices = LIMITS[choice % len(LIMITS)], choice // len(LIMITS) % 3 + 1
    pieces = draws.pieces()
    stream = b"".join(pieces)
    found, rest = scan(COMPILED.EventScanner(limit_bytes), pieces)
    twins, twin_rest = scan(TWIN.EventScanner(limit_bytes), pieces)
    read = [fields(event) for event in found]
    assert (read, rest) == ([fields(event) for event in twins], twin_rest)
    assert b"".join(event.raw for event in found) + rest == stream
    for cut in ([stream], bytewise(stream)):
        others, other_rest = scan(COMPILED.EventScanner(limit_bytes), cut)
        assert ([fields(event) for event in others], other_rest) == (read, rest)
    assert judge(COMPILED.StreamState(num_choices), found) == judge(TWIN.StreamState(num_choices), twins)
    alone = [COMPILED.Event(b"", stream)]
    assert judge(COMPILED.StreamState(), alone) == judge(TWIN.StreamState(), [TWIN.Event(b"", stream)])


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    for seed in range(300):
        writer = Writer(seed)
        yield bytes((seed % 15, 2, 3, 200)) + writer.stream()
        yield b"\0\0" + writer.data()
