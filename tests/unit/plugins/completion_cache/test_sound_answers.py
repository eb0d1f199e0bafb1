"""Which answers are stored, and what of them."""

from __future__ import annotations

import json

import pytest

from ....virtual_clock import run
from .answers import JSON, STREAM, chat, stream
from .stand import Ask, Origin, Stand, streamed

ERROR = json.dumps({"error": {"message": "no"}}).encode()
UNSOUND = [
    Origin(status=500),
    Origin(status=201),
    Origin((b"text",), (("Content-Type", "text/plain"),)),
    Origin((ERROR,)),
    Origin((chat(reason="content_filter"),)),
    Origin((chat(reason="error"),)),
    Origin((b'{"choices": [{"finish_reason": {}}]}',)),
    Origin((b'{"choices": [{"finish_reason": []}]}',), end="fallback"),
    Origin((b'{"choices": []}',)),
    Origin((b"{",)),
    Origin((b'{"object": "aggregate", "branches": []}',)),
    Origin((b'{"object": "list"}',)),
    Origin(fields=(JSON, ("Content-Encoding", "gzip"))),
    Origin(fields=(JSON, ("Cache-Control", "no-store"))),
    Origin(end="cut"),
    Origin(end="fallback"),
    Origin(end="error"),
    streamed(*stream(is_done=False)),
    streamed(*stream(reason=None)),
    streamed(*stream(reason="tool_calls")),
    streamed(*stream()[:-1], b"data: {}\n\n", stream()[-1]),
    streamed(*stream(), b"data: {}\n\n"),
    streamed(b"event: error\ndata: {}\n\n", *stream()),
    streamed(b"data: " + ERROR + b"\n\n", *stream()),
    streamed(*stream(), end="cut"),
    streamed(*stream(), b"data: "),
]


@pytest.mark.parametrize("origin", UNSOUND)
def test_answer_that_is_not_whole_or_sound_is_not_stored(origin: Origin) -> None:
    async def main() -> None:
        stand = Stand()
        ask = Ask(is_stream=origin.fields[0] == STREAM)
        await stand.ask(ask, origin)
        assert (
            len(stand.cache.shelf.memory) == stand.cache.shelf.memory.used_bytes == len(stand.cache.shelf.flights) == 0
        )
        assert (await stand.ask(ask)).verdict == "miss"

    run(main())


def test_comments_and_ids_are_not_replayed() -> None:
    async def main() -> None:
        stand = Stand()
        first = b": headgate target=x attempts=2\nid: 1\n" + stream()[0]
        await stand.ask(Ask(is_stream=True), streamed(b": ping\n\n", first, *stream()[1:]))
        assert (await stand.ask(Ask(is_stream=True))).body == b"".join(stream())

    run(main())
