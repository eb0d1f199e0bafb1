"""A stored stream as the one JSON answer that it tells."""

from __future__ import annotations

from typing import Any

import orjson

from ...ext.sse import EventScanner
from .entry import Content
from .judge import parsed

Json = dict[str, Any]
# Members by name: those of a chunk and of a choice that are taken over as they are, and texts, which are joined.
_HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")
_TEXTS = ("content", "refusal", "reasoning", "reasoning_content")
_CHUNK_KNOWN = frozenset((*_HEAD, "object", "choices", "usage", "obfuscation"))
_CHOICE_KNOWN = frozenset(("index", "delta", "text", "finish_reason"))
_DELTA_KNOWN = frozenset(("role", *_TEXTS))
_WHOLE = {"chat.completion.chunk": "chat.completion", "text_completion": "text_completion"}


def joined(content: Content) -> bytes | None:
    """Return the answer to the same request without `stream`; None where the stream tells more, or less, than that.

    It has to tell the usage, which every such answer has. Cost: linear in the stream.
    """
    answer: Json = {}
    choices: dict[int, Json] = {}
    scanner = EventScanner(max(len(content.body), 3))
    for event in scanner.feed(content.body):
        if event.data is None or event.data == b"[DONE]":
            continue
        chunk = parsed(event.data)
        if chunk is None or _has_more(chunk, _CHUNK_KNOWN) or not _is_begun_as(answer, chunk):
            return None
        is_chat = answer["object"] == "chat.completion"
        if not all(_is_added(choices, choice, is_chat) for choice in chunk["choices"]):
            return None
    if not choices or "usage" not in answer:
        return None
    return orjson.dumps({**answer, "choices": [_finished(choices[index]) for index in sorted(choices)]})


def _has_more(value: Json, known: frozenset[str]) -> bool:
    return any(member for name, member in value.items() if name not in known)


def _is_begun_as(answer: Json, chunk: Json) -> bool:
    """Take over what a chunk tells of the whole answer; False where it is one of another."""
    kind = _WHOLE.get(str(chunk.get("object")))
    if kind is None or answer.get("object", kind) != kind or answer.get("id", chunk.get("id")) != chunk.get("id"):
        return False
    answer["object"] = kind
    for name in _HEAD:
        if name in chunk and answer.get(name) is None:
            answer[name] = chunk[name]
    if chunk.get("usage"):
        answer["usage"] = chunk["usage"]
    return isinstance(chunk.get("choices"), list)


def _is_added(choices: dict[int, Json], choice: Json, is_chat: bool) -> bool:
    """Add what a chunk tells of a choice; False where that is more than text."""
    if _has_more(choice, _CHOICE_KNOWN):
        return False
    whole = choices.setdefault(choice.get("index", 0), {"index": choice.get("index", 0)})
    whole["finish_reason"] = choice.get("finish_reason") or whole.get("finish_reason")
    if not is_chat:
        text = choice.get("text") or ""
        whole["text"] = whole.get("text", "") + text if isinstance(text, str) else None
        return isinstance(text, str) and "delta" not in choice
    delta = choice.get("delta") or {}
    if not isinstance(delta, dict) or _has_more(delta, _DELTA_KNOWN) or "text" in choice:
        return False
    return _is_told(whole.setdefault("message", {}), delta)


def _is_told(message: Json, delta: Json) -> bool:
    role = delta.get("role") or message.get("role") or "assistant"
    if role != message.setdefault("role", role):
        return False
    for name in _TEXTS:
        text = delta.get(name)
        if text is None:
            continue
        if not isinstance(text, str):
            return False
        message[name] = message.get(name, "") + text
    return True


def _finished(choice: Json) -> Json:
    """Return a choice with the members that every answer has."""
    if "message" not in choice:
        return {"index": choice["index"], "text": choice["text"], "logprobs": None, **_reason(choice)}
    told = choice["message"]
    refusal = told.get("refusal") or None
    content = told.get("content") or (None if refusal else "")
    message = {**told, "content": content, "refusal": refusal}
    return {"index": choice["index"], "message": message, "logprobs": None, **_reason(choice)}


def _reason(choice: Json) -> Json:
    return {"finish_reason": choice["finish_reason"]}
