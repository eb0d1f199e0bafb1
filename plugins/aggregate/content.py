"""What an answer says, whichever form it came in."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

from ...ext.sse import EventScanner

Json = dict[str, Any]
_TEXT_MEMBERS = {"role", "content", "refusal"}


def content_of(body: bytes, media_type: str) -> str:
    """Return the text of a completion; else JSON in a form in which equal values are equal; else the body as text.

    Cost: linear in the body.
    """
    value = value_of(body, media_type)
    text = text_of(value)
    if text is not None:
        return text
    if value is not None:
        with contextlib.suppress(RecursionError):  # deeper than it could be written from here
            return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return body.decode("utf-8", "backslashreplace").strip()


def value_of(body: bytes, media_type: str) -> Json | None:
    """Return the JSON object that an answer is, or the completion that its events tell; None where it is neither.

    Integers are kept exactly, however long. Cost: linear in the body.
    """
    if media_type == "text/event-stream":
        return _told_by_events(body)
    return _object(body)


def text_of(value: Json | None) -> str | None:
    """Return the texts of a completion's choices, in order; None where it is none, or says more than text."""
    choices = value.get("choices") if value is not None else None
    if not isinstance(choices, list) or not choices:
        return None
    texts = [_text_of_choice(choice) for choice in choices]
    return None if None in texts else "\n".join(text or "" for text in texts).strip()


def _text_of_choice(choice: Any) -> str | None:
    if not isinstance(choice, dict):
        return None
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")
        return text if isinstance(text, str) else None
    if any(value for name, value in message.items() if name not in _TEXT_MEMBERS):
        return None  # tools that it wants called, or sounds
    text = message.get("content") or message.get("refusal") or ""
    return text if isinstance(text, str) else None


def _object(body: bytes) -> Json | None:
    try:
        value = json.loads(body, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"expected a number of JSON that can be written again, got {text}")
    return number


def _told_by_events(body: bytes) -> Json | None:
    """Return the completion that a stream of chunks tells; None for any other, and one that says more than text."""
    scanner = EventScanner(len(body) + 3)
    told: Json = {}
    choices: dict[int, Json] = {}
    for event in (*scanner.feed(body), *scanner.finish()):
        if event.data is None or event.data.strip() == b"[DONE]":
            continue
        chunk = _object(event.data)
        if chunk is None or not isinstance(chunk.get("choices"), list):
            return None
        told.update((name, value) for name, value in chunk.items() if value is not None and name != "choices")
        if not all(_is_added(choices, choice) for choice in chunk["choices"]):
            return None
    if not choices:
        return None
    told["object"] = "chat.completion"
    return {**told, "choices": [choices[index] for index in sorted(choices)]}


def _is_added(choices: dict[int, Json], choice: Any) -> bool:
    """Add what a chunk tells of a choice; False where that cannot be told by text alone."""
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict) or any(value for name, value in delta.items() if name not in _TEXT_MEMBERS):
        return False
    index, text = choice.get("index", 0), delta.get("content") or ""
    if type(index) is not int or not isinstance(text, str) or delta.get("refusal"):
        return False
    message = {"role": "assistant", "content": ""}
    whole = choices.setdefault(index, {"index": index, "message": message, "finish_reason": None})
    whole["message"]["content"] += text
    whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
    return True
