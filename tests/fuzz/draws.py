"""Values drawn from the bytes of a fuzzer's input: small changes of the bytes are small changes of the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
MANY = 200
FEW = 12


class Draws:
    """Takes values off the front. Where nothing is left all is 0, and `is_empty` says so."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Whether every byte is taken."""
        return self._at >= len(self._data)

    def number(self, num_bytes: int = 1) -> int:
        """Take a number from 0 up."""
        self._at += num_bytes
        return int.from_bytes(self._data[self._at - num_bytes : self._at], "little")

    def pick(self, values: Sequence[T]) -> T:
        """Take a byte, and return one of at most 256 values."""
        return values[self.number() % len(values)]

    def text(self) -> bytes:
        """Take a byte that says how many, and as many bytes."""
        size = self.number()
        self._at += size
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        """Take all that is left."""
        rest, self._at = self._data[self._at :], len(self._data)
        return rest

    def pieces(self) -> list[bytes]:
        """Take all that is left, cut in up to 15 places that are drawn first."""
        cuts = [self.number() for _ in range(self.number() % 16)]
        data, pieces = self.rest(), []
        for size in cuts:
            pieces.append(data[:size])
            data = data[size:]
        return [*pieces, data]


def sized(text: bytes) -> bytes:
    """Return what `Draws.text` reads as the first 255 bytes of `text`."""
    return bytes((len(text[:255]),)) + text[:255]


def bytewise(data: bytes) -> list[bytes]:
    """Cut at every byte."""
    return [data[at : at + 1] for at in range(len(data))]


def strewn(data: bytes) -> list[bytes]:
    """Cut at every byte, or in pieces of a few bytes where that would be too many for a twin in Python."""
    step = len(data) // MANY + 1
    return [data[at : at + step] for at in range(0, len(data), step)]


def halves(data: bytes) -> list[list[bytes]]:
    """Cut in two, at every place or at a few of them."""
    step = len(data) // FEW + 1
    return [[data[:at], data[at:]] for at in range(len(data) % step, len(data), step)]
