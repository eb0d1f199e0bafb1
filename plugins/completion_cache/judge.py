"""Whether an answer is a whole one without an error, and what of it is kept."""

from __future__ import annotations

from typing import Any

import orjson

from ...ext.sse import EventKind, EventScanner, StreamState
from .entry import Content, Span

Json = dict[str, Any]
STREAM, JSON = b"text/event-stream", b"application/json"
# Other reasons tell of calls of tools, of filters, of failures: what they say holds for one request.
_REASONS = frozenset({"stop", "length"})
_CHUNKS = frozenset({EventKind.DELTA, EventKind.USAGE, EventKind.DONE})
_NAMES = frozenset({b"", b"message"})
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
    return all(isinstance(choice, dict) and _is_good_reason(choice.get("finish_reason")) for choice in choices)


def _is_good_reason(value: object) -> bool:
    return isinstance(value, str) and value in _REASONS


def _stream(body: bytes, media_type: bytes) -> Content | None:
    """Keep the data of a stream of chunks that ends as one; comments and ids were about one connection."""
    scanner, state = EventScanner(max(len(body), _MAX_PIECE_BYTES)), StreamState()
    kept, size = list[bytes](), 0
    usage: Span | None = None
    for event in scanner.feed(body) + scanner.finish():
        kind = state.see(event)
        if kind is EventKind.COMMENT:
            continue
        if event.data is None or event.name not in _NAMES or not _is_sound_chunk(kind, event.data):
            return None
        written = _written(event.data)
        if kind is EventKind.USAGE:
            usage = size, size + len(written)
        kept.append(written)
        size += len(written)
    is_sound = state.is_finished and all(reason in _REASONS for reason in state.finish_reasons().values())
    if not state.is_done or not is_sound or scanner.rest().strip():
        return None
    return Content(True, media_type, b"".join(kept), usage, usage is not None or state.prompt_tokens is not None)


def _is_sound_chunk(kind: EventKind, data: bytes) -> bool:
    if kind is not EventKind.OTHER:
        return kind in _CHUNKS
    value = parsed(data)  # some services tell something of the prompt first
    return value is not None and value.get("choices") == []


def _written(data: bytes) -> bytes:
    if b"\n" not in data:
        return b"data: " + data + b"\n\n"
    return b"".join([b"data: " + line + b"\n" for line in data.split(b"\n")]) + b"\n"
