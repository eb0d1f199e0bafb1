"""How an answer is written for Redis, and read again.

| bytes | hold |
|---|---|
| 4 | `HGC` and the layout |
| 32 | SHA-256 of all that follows |
| 4 | length of the head |
| … | the head: JSON |
| … | the body, to the end |

Nothing that was cut, changed, or written for something else is ever read as an answer: the digest tells the first two,
and the head says what it was written for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..entry import Entry, Staleness
from ..key import Key
from .names import LAYOUT, key_parts

_MAGIC = b"HGC" + bytes([LAYOUT])
_DIGEST_END = 36
_HEAD_START = 40

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Seen:
    """The generations of everything and of one URI, as they were at the instant `at_s` of Redis' clock; b"" for none.

    What is kept bears those that were seen before it was asked for, and counts as long as both stand: whoever
    invalidates replaces one.
    """

    everything: bytes
    uri: bytes
    at_s: int


class _Head(BaseModel):
    """What both kinds of values say first: for which key, and in which generations."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    key: list[Any]
    seen: tuple[str, str]

    def is_for(self, key: Key, seen: Seen) -> bool:
        """Whether it was written for this key, and is not invalidated."""
        return self.seen == _seen_texts(seen) and self.key == key_parts(key)


class _AnswerHead(_Head):
    vary: list[tuple[str, str | None]]
    status: Annotated[int, Field(ge=100, le=599)]
    fields: list[tuple[str, str]]
    written_at: Seconds
    kept_ms: Annotated[int, Field(gt=0)]
    age_s: Seconds
    lifetime_s: Annotated[float, Field(allow_inf_nan=False)]
    staleness: tuple[Seconds, Seconds, Seconds, bool]


class _NamesHead(_Head):
    names: list[str]


@dataclass(frozen=True, slots=True)
class Written:
    """An answer as it was read.

    `written_at` is an instant of the writer's wall clock, at which it was `age_s` old and to be kept for `kept_ms`.
    """

    head: _AnswerHead
    body: bytes

    @property
    def written_at(self) -> float:
        """When it was written, in seconds since the epoch."""
        return self.head.written_at

    @property
    def kept_ms(self) -> int:
        """For how long it was to be kept from then on."""
        return self.head.kept_ms

    def entry(self, key: Key, now: float, elapsed_s: float) -> Entry:
        """Return it as an entry of the first level: `elapsed_s` after it was written."""
        head = self.head
        fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in head.fields)
        vary, age_s = tuple(head.vary), head.age_s + elapsed_s
        staleness, asked_at = Staleness(*head.staleness), now - age_s  # or later: its age counts what it took to come
        return Entry(key, vary, head.status, fields, self.body, now, age_s, head.lifetime_s, staleness, asked_at)


def write_answer(entry: Entry, seen: Seen, now: float, wall_s: float, kept_ms: int) -> bytes:
    """Return an entry for Redis, to be kept there for `kept_ms`. Cost: linear in its size."""
    head = {
        "key": key_parts(entry.key),
        "seen": _seen_texts(seen),
        "vary": entry.vary,
        "status": entry.status,
        "fields": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in entry.fields],
        "written_at": float(wall_s),
        "kept_ms": kept_ms,
        "age_s": float(entry.age_s(now)),
        "lifetime_s": float(entry.lifetime_s),
        "staleness": (*map(float, entry.staleness[:3]), entry.staleness.is_forbidden),
    }
    return _sealed(head, entry.body)


def write_names(entry: Entry, seen: Seen) -> bytes:
    """Return by which fields the answers of a key vary."""
    head = {"key": key_parts(entry.key), "seen": _seen_texts(seen), "names": [name for name, _ in entry.vary]}
    return _sealed(head, b"")


def read_answer(value: bytes, key: Key, seen: Seen) -> Written | None:
    """Return the answer that a value holds, if it is to this key and of these generations. Cost: linear in its size."""
    opened = _opened(value)
    head = _parsed(_AnswerHead, opened[0]) if opened is not None else None
    if opened is None or head is None or not head.is_for(key, seen):
        return None
    return Written(head, opened[1])


def read_names(value: bytes, key: Key, seen: Seen) -> tuple[str, ...] | None:
    """Return by which fields the answers of a key vary, if the value says that."""
    opened = _opened(value)
    head = _parsed(_NamesHead, opened[0]) if opened is not None else None
    return tuple(head.names) if head is not None and head.is_for(key, seen) else None


def is_sound(value: bytes) -> bool:
    """Whether a value is whole, and of this layout."""
    return _opened(value) is not None


def _seen_texts(seen: Seen) -> tuple[str, str]:
    return seen.everything.decode("latin-1"), seen.uri.decode("latin-1")


def _sealed(head: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    rest = b"".join((len(text).to_bytes(4, "big"), text, body))
    return b"".join((_MAGIC, sha256(rest).digest(), rest))


def _opened(value: bytes) -> tuple[bytes, bytes] | None:
    """Return head and body; None for what is not whole."""
    if value[:4] != _MAGIC or sha256(memoryview(value)[_DIGEST_END:]).digest() != value[4:_DIGEST_END]:
        return None
    head_end = _HEAD_START + int.from_bytes(value[_DIGEST_END:_HEAD_START], "big")
    return (value[_HEAD_START:head_end], value[head_end:]) if head_end <= len(value) else None


Model = TypeVar("Model", bound=_Head)


def _parsed(model: type[Model], text: bytes) -> Model | None:
    try:
        return model.model_validate_json(text)
    except ValidationError:
        return None
