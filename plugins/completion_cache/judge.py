"""Whether an answer is a whole one without an error, and what of it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ...ext.sse import Event, EventScanner
from .entry import Content, Span

Json = dict[str, Any]
STREAM, JSON = b"text/event-stream", b"application/json"
# Other reasons tell of calls of tools, of filters, of failures: what they say holds for one request.
_REASONS = frozenset({"stop", "length"})
_MAX_PIECE_BYTES = 3  # the least that a scanner of events takes


def content_of(body: bytes, media_type: str) -> Content | None:
    """Return what is kept of an answer that is whole; None where it is not, or tells a failure.

    Cost: linear in the body.
    """
    kind = media_type.partition(";")[0].strip().lower().encode("latin-1", "replace")
    written = media_type.encode("latin-1", "replace")
    if kind == JSON:
        return Content(False, written, body) if _is_sound(body) else None
    return _stream(body, written) if kind == STREAM else None


def parsed(data: bytes) -> Json | None:
    """Return the JSON object that `data` is; None for anything else."""
    try:
        value = orjson.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_sound(body: bytes) -> bool:
    value = parsed(body)
    if value is None or value.get("error"):
        return False
    choices = value.get("choices")
    if choices is None:
        # Embeddings. Whether anything else is whole is not known, as of what several branches have come to.
        return value.get("object") == "list" and isinstance(value.get("data"), list)
    if not isinstance(choices, list) or not choices:
        return False
    return all(isinstance(choice, dict) and choice.get("finish_reason") in _REASONS for choice in choices)


def _stream(body: bytes, media_type: bytes) -> Content | None:
    """Keep the data of a stream of chunks that ends as one; comments and ids were about one connection."""
    scanner = EventScanner(max(len(body), _MAX_PIECE_BYTES))
    events = scanner.feed(body) + scanner.finish()
    kept, size = list[bytes](), 0
    reasons: dict[int, object] = {}
    usage: Span | None = None
    has_usage = is_done = False
    for event in events:
        if event.data is None:
            continue
        chunk = None if is_done or event.is_overflow or event.name not in (b"", b"message") else event.data
        if chunk is None:
            return None
        written = b"".join(_lines(event))
        if chunk.strip() == b"[DONE]":
            is_done = True
        else:
            value = parsed(chunk)
            if value is None or not _note(reasons, value):
                return None
            if isinstance(value.get("usage"), dict):
                has_usage = True
                usage = usage if value["choices"] else (size, size + len(written))
        kept.append(written)
        size += len(written)
    is_finished = bool(reasons) and all(reason in _REASONS for reason in reasons.values())
    if not is_done or not is_finished or scanner.rest().strip():
        return None
    return Content(True, media_type, b"".join(kept), usage, has_usage)


def _lines(event: Event) -> Iterator[bytes]:
    assert event.data is not None
    for line in event.data.split(b"\n"):
        yield b"data: " + line + b"\n"
    yield b"\n"


def _note(reasons: dict[int, object], chunk: Json) -> bool:
    """Note what a chunk tells of its choices; False where it is no sound chunk."""
    choices = chunk.get("choices")
    if chunk.get("error") or not isinstance(choices, list):
        return False
    for choice in choices:
        index = choice.get("index", 0) if isinstance(choice, dict) else None
        if type(index) is not int:
            return False
        reason = choice.get("finish_reason")
        if reason is not None and not isinstance(reason, str):
            return False
        reasons[index] = reason or reasons.get(index)
    return True
