"""A stored JSON answer as the stream that the same request with `stream` would get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from .entry import Content
from .judge import parsed

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"
_TEXTS = ("reasoning", "reasoning_content", "content", "refusal")
_HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")
_ANSWER_KNOWN = frozenset((*_HEAD, "object", "choices", "usage"))
_CHAT_KNOWN = frozenset(("index", "message", "finish_reason"))
_TEXT_KNOWN = frozenset(("index", "text", "finish_reason"))
_MESSAGE_KNOWN = frozenset(("role", *_TEXTS))
_CHUNKS = {"chat.completion": "chat.completion.chunk", "text_completion": "text_completion"}


def split(content: Content) -> bytes | None:
    """Return the stream; None where the answer is no completion, or tells more than such a stream can.

    Each choice is a chunk with its role, one with each of its texts, and one with its finish_reason; a last chunk tells
    the usage, if it is known. Cost: linear.
    """
    answer = parsed(content.body)
    if answer is None or str(answer.get("object")) not in _CHUNKS or _has_more(answer, _ANSWER_KNOWN):
        return None
    head = {name: answer[name] for name in _HEAD if name in answer}
    head["object"] = _CHUNKS[answer["object"]]
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return None
    chunks: list[Json] = []
    for choice in choices:
        parts = _parts(choice)
        if parts is None:
            return None
        chunks += [{**head, "choices": [part]} for part in parts]
    if usage := answer.get("usage"):
        chunks.append({**head, "choices": [], "usage": usage})
    return b"".join([b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks]) + DONE


def _has_more(value: Json, known: frozenset[str]) -> bool:
    return any(member for name, member in value.items() if name not in known)


def _parts(choice: Json) -> list[Json] | None:
    """Return the choices of the chunks that tell one choice; None where it is more than text."""
    index, reason, message = choice.get("index", 0), choice.get("finish_reason"), choice.get("message")
    if message is None:
        text = choice.get("text")
        if not isinstance(text, str) or _has_more(choice, _TEXT_KNOWN):
            return None
        return [_text_part(index, text, None), _text_part(index, "", reason)]
    if not isinstance(message, dict) or _has_more(choice, _CHAT_KNOWN) or _has_more(message, _MESSAGE_KNOWN):
        return None
    if any(not isinstance(message[name], str | None) for name in _TEXTS if name in message):
        return None
    role = {"role": message.get("role") or "assistant", "content": ""}
    deltas = [role, *_deltas(message)]
    return [*(_chat_part(index, delta, None) for delta in deltas), _chat_part(index, {}, reason)]


def _deltas(message: Json) -> Iterator[Json]:
    for name in _TEXTS:
        if message.get(name):
            yield {name: message[name]}


def _chat_part(index: int, delta: Json, reason: str | None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def _text_part(index: int, text: str, reason: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
