"""What one event of an OpenAI-compatible stream tells, read with a full parse."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import orjson

MAX_CHOICES = 128  # the most that OpenAI's `n` can ask for
MAX_REASON_CHARACTERS = 64
MAX_PLAIN_BYTES = 1 << 16  # of chunks that are seen at once
MAX_MESSAGE_CHARACTERS = 1000
_MAX_CODE_CHARACTERS = 100
_BLANKS = b" \t\n\r"  # RFC 8259 §2
# The members of a delta that hold what the model says. Strings, lists and objects count where they are not empty.
CONTENT_KEYS = (
    "content",
    "refusal",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "tool_calls",
    "function_call",
    "audio",
    "images",
)


class EventKind(IntEnum):
    """What an event is to the answer it belongs to. In its JSON a null counts as absent, wherever it stands."""

    #: No data: a comment, a field `retry` or `id` alone, an empty line.
    COMMENT = 0
    #: A chunk with at least one choice, of chat (`delta`) or of text (`text`).
    DELTA = 1
    #: A chunk whose `choices` is there and empty (or null), and whose `usage` is an object.
    USAGE = 2
    #: The answer failed: `event: error`, whatever its data, or an object with a top-level `error`.
    ERROR = 3
    #: The data `[DONE]`.
    DONE = 4
    #: Data that no client could read: no JSON object (RFC 8259, UTF-8); `choices` not a list of objects; an `index`
    #: that is no integer from 0 to 127; a `finish_reason` that is no string of at most 64 characters; a `delta` that
    #: is no object; a `text` that is no string; and any data after `[DONE]`.
    MALFORMED = 5
    #: Any other object: without `choices` (another API's event), or with empty ones and no usage.
    OTHER = 6
    #: A part of an event that is larger than the scanner's limit. Nothing of it was read.
    OVERFLOW = 7


class Choice(NamedTuple):
    """What a chunk tells of one choice."""

    place: int  # its index
    reason: str | None  # its finish_reason
    has_content: bool


class Facts(NamedTuple):
    """What one event's data tells; of ERROR and MALFORMED nothing but the kind."""

    kind: EventKind
    choices: tuple[Choice, ...] = ()
    has_content: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None


def facts_of(data: bytes) -> Facts:
    """Read an event's data. What is valid JSON is orjson's word; of a name that stands twice the last counts.

    Where `index` is absent the choice's place in the list stands for it. An empty `finish_reason` or `model` counts as
    absent, as does a count of tokens that is no integer from 0 up. Cost: linear in `data`.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return Facts(EventKind.DONE if data.strip(_BLANKS) == b"[DONE]" else EventKind.MALFORMED)
    if not isinstance(value, dict):
        return Facts(EventKind.MALFORMED)
    if value.get("error") is not None:
        return Facts(EventKind.ERROR)
    choices = _choices_in(value.get("choices"))
    if choices is None:
        return Facts(EventKind.MALFORMED)
    usage, model = value.get("usage"), value.get("model")
    counts = usage if isinstance(usage, dict) else {}
    is_usage = "choices" in value and counts is usage
    return Facts(
        EventKind.DELTA if choices else EventKind.USAGE if is_usage else EventKind.OTHER,
        tuple(choices),
        any(choice.has_content for choice in choices),
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
        model if isinstance(model, str) and model else None,
    )


def _choices_in(value: object) -> list[Choice] | None:
    """Read `choices`. None where they are malformed."""
    if value is None:
        return []
    if not isinstance(value, list):
        return None
    choices = []
    for place, each in enumerate(value):
        choice = _choice_in(each, place)
        if choice is None:
            return None
        choices.append(choice)
    return choices


def _choice_in(value: object, place: int) -> Choice | None:
    if not isinstance(value, dict):
        return None
    index, reason = value.get("index"), value.get("finish_reason")
    delta, text = value.get("delta"), value.get("text")
    index = place if index is None else index
    if type(index) is not int or not 0 <= index < MAX_CHOICES:  # a bool is no index
        return None
    if reason is not None and not (isinstance(reason, str) and len(reason) <= MAX_REASON_CHARACTERS):
        return None
    if not (delta is None or isinstance(delta, dict)) or not (text is None or isinstance(text, str)):
        return None
    return Choice(index, reason or None, bool(text) or _has_content(delta or {}))


def _has_content(delta: dict[str, object]) -> bool:
    return any(isinstance(value, str | list | dict) and value for key, value in delta.items() if key in CONTENT_KEYS)


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def error_in(data: bytes | None) -> tuple[str | None, str | None, str]:
    """Return (type, code, message) of an error told in an event's data, as far as it can be read.

    The error is the object or string under `error`, or the whole object. Where no message is found it is the data
    itself. All three are cut to a length fit for a log. Cost: linear in `data`.
    """
    text = (data or b"").decode("utf-8", "replace")
    try:
        value = orjson.loads(data or b"")
    except orjson.JSONDecodeError:
        value = None
    error = value.get("error") if isinstance(value, dict) else value
    error = value if error is None else error
    if not isinstance(error, dict):
        return None, None, (error if isinstance(error, str) else text)[:MAX_MESSAGE_CHARACTERS]
    message = next((each for key in ("message", "detail") if isinstance(each := error.get(key), str) and each), text)
    return _word(error.get("type")), _word(error.get("code")), message[:MAX_MESSAGE_CHARACTERS]


def _word(value: object) -> str | None:
    """Services tell codes as words or as numbers."""
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        return None
    return str(value)[:_MAX_CODE_CHARACTERS]
