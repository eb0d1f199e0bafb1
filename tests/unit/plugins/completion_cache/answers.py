"""Completions as services write them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
JSON = ("Content-Type", "application/json")
STREAM = ("Content-Type", "text/event-stream")
DONE = b"data: [DONE]\n\n"


def chat(text: str = "hello you", **more: Any) -> bytes:
    """A whole chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": more.pop("reason", "stop")}
    head = {"id": "c1", "object": "chat.completion", "created": 7, "model": "m"}
    return json.dumps({**head, "choices": [choice], "usage": USAGE, **more}).encode()


def event(value: Mapping[str, Any]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: Mapping[str, Any], reason: str | None = None, index: int = 0, **more: Any) -> bytes:
    """One event of a chat stream."""
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    return event({**head, "choices": [{"index": index, "delta": delta, "finish_reason": reason}], **more})


def usage_chunk() -> bytes:
    """The event that tells the usage alone."""
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    return event({**head, "choices": [], "usage": USAGE})


def stream(*words: str, reason: str | None = "stop", has_usage: bool = False, is_done: bool = True) -> Sequence[bytes]:
    """The events of a chat stream."""
    return tuple(_stream(words or ("hello", " you"), reason, has_usage, is_done))


def _stream(words: Sequence[str], reason: str | None, has_usage: bool, is_done: bool) -> Iterator[bytes]:
    yield chunk({"role": "assistant", "content": ""})
    yield from (chunk({"content": word}) for word in words)
    if reason is not None:
        yield chunk({}, reason)
    if has_usage:
        yield usage_chunk()
    if is_done:
        yield DONE


def texts_of(body: bytes) -> dict[int, str]:
    """What a stream says, by choice."""
    told: dict[int, str] = {}
    for line in body.split(b"\n\n"):
        data = line.removeprefix(b"data: ")
        if not data or data == b"[DONE]":
            continue
        for choice in json.loads(data)["choices"]:
            text = choice["delta"].get("content") or "" if "delta" in choice else choice["text"]
            told[choice["index"]] = told.get(choice["index"], "") + text
    return told
