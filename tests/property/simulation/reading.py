"""What a client would make of the bytes that it got: read by rules of its own, not by the gateway's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .client import Got


@dataclass
class Stream:
    """An event stream as a client reads it. `rest` is what follows its last whole event."""

    tokens: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)  # of each chunk
    finish_reasons: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    unreadable: int = 0
    is_done: bool = False
    is_ordered: bool = True  # nothing follows [DONE], and nothing an error
    rest: bytes = b""


def read_stream(body: bytes) -> Stream:
    """Read an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    stream = Stream()
    *events, stream.rest = body.split(b"\n\n")
    for event in events:
        lines = event.decode().split("\n")
        stream.comments += [line[1:].strip() for line in lines if line.startswith(":")]
        stream.ids += [line[3:].strip() for line in lines if line.startswith("id:")]
        data = "\n".join(line[5:].strip() for line in lines if line.startswith("data:"))
        if data:
            stream.is_ordered = stream.is_ordered and not stream.is_done and not stream.errors
            _take(stream, data)
    return stream


def _take(stream: Stream, data: str) -> None:
    if data == "[DONE]":
        stream.is_done = True
        return
    try:
        value = json.loads(data)
    except ValueError:
        stream.unreadable += 1
        return
    if "error" in value:
        stream.errors.append(value["error"])
        return
    stream.authors.append(value["model"])
    for choice in value["choices"]:
        if choice["delta"].get("content"):
            stream.tokens.append(choice["delta"]["content"])
        if choice["finish_reason"]:
            stream.finish_reasons.append(choice["finish_reason"])


def is_stream(got: Got) -> bool:
    """Whether a client got (the beginning of) an event stream."""
    return got.fields.get("content-type", "").startswith("text/event-stream")


def is_own_error(got: Got) -> bool:
    """Whether the whole answer is an error that the gateway made."""
    return got.status >= 400 and "x-author" not in got.fields and b'"by"' not in got.body
