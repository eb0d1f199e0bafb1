"""Cursors: where a streamed answer stands, told with each of its events.

A cursor is base64url, without padding, of these bytes, numbers big-endian:

    the first event's only:  format version (1), seed (8, signed), created (4), name (12)
    every event's:           its index, the tokens before it, and the ids of its tokens, as varints; check (4)

The check is keyed by the request and by what the first cursor carries, so that a cursor of another request, model or
stream is told from one of this. It guards against mistakes, not against forgery: there is no secret.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

FORMAT_VERSION = 1
NAME_BYTES = 12

_CHECK_BYTES = 4
_ORIGIN = struct.Struct(f">BqI{NAME_BYTES}s")
# Ids and counts of tokens lie below 2**32.
_MAX_VARINT_BYTES = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """What is drawn once for an answer and kept to its end. `created` is in Unix seconds; `name` makes its id."""

    seed: int
    created: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """One event's place: its index in the stream, the generated tokens before it, and the ids of its own."""

    index: int
    position: int
    ids: tuple[int, ...]


class CursorWriter:
    """Writes the cursors of one stream."""

    def __init__(self, request_digest: bytes, origin: Origin) -> None:
        self._origin = _ORIGIN.pack(FORMAT_VERSION, origin.seed, origin.created, origin.name)
        self._key = blake2b(self._origin, key=request_digest).digest()

    def write(self, cursor: Cursor) -> str:
        """Give the text of a cursor; equal cursors have equal texts. Cost: O(ids)."""
        data = self._origin if cursor.index == 0 else b""
        data += b"".join(map(_varint, (cursor.index, cursor.position, *cursor.ids)))
        kind = b"first" if cursor.index == 0 else b"later"  # the bytes of the one could be read as the other's
        check = blake2b(data, key=self._key, digest_size=_CHECK_BYTES, person=kind).digest()
        return urlsafe_b64encode(data + check).rstrip(b"=").decode()


def max_chars(max_ids: int) -> int:
    """Give the most characters that the cursor of an event of so many tokens can have."""
    size = _ORIGIN.size + _MAX_VARINT_BYTES * (2 + max_ids) + _CHECK_BYTES
    return -(-size * 4 // 3)


def read_origin(text: str) -> Origin:
    """Read what only the first cursor carries. Nothing is proven: see `read_cursor`.

    Raises: ValueError.
    """
    data = _bytes_of(text)
    if len(data) < _ORIGIN.size:
        raise ValueError("it is too short for the first one of a stream")
    version, seed, created, name = _ORIGIN.unpack_from(data)
    if version != FORMAT_VERSION:
        raise ValueError(f"expected format version {FORMAT_VERSION}, got {version}")
    return Origin(seed, created, name)


def read_cursor(text: str, *, is_first: bool) -> Cursor:
    """Read a cursor. It is proven by writing it again: the same writer gives the same text.

    Raises: ValueError.
    Cost: O(characters); the caller bounds them.
    """
    data = _bytes_of(text)
    numbers = list(_varints(data[_ORIGIN.size if is_first else 0 : -_CHECK_BYTES]))
    if len(numbers) < 2:
        raise ValueError("it is too short")
    return Cursor(numbers[0], numbers[1], tuple(numbers[2:]))


def _bytes_of(text: str) -> bytes:
    """Decode leniently: what is not written so is found when the cursor is written again."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise ValueError("it is not base64url") from None


def _varint(number: int) -> bytes:
    """Give seven bits a byte, the lowest first; the high bit says that another byte follows."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _varints(data: bytes) -> Iterator[int]:
    number = count = 0
    for byte in data:
        number |= (byte & 0x7F) << 7 * count
        count += 1
        if count > _MAX_VARINT_BYTES:
            raise ValueError("it holds too large a number")
        if byte < 0x80:
            yield number
            number = count = 0
    if count:
        raise ValueError("it ends within a number")
