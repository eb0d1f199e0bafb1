"""Numbers that several processes count: each has rows of its own in shared memory, and whoever shows them adds up.

A process that dies loses nothing that it has counted: its successor goes on in the same rows.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Callable, Iterator, Sequence

import orjson

from ...ext.tally import Row

ARENA_BYTES = 16 << 20  # for each process; memory is taken as it is used

_log = logging.getLogger("headgate")
_USED = struct.Struct("<Q")
_HEAD = struct.Struct("<II")
Merge = Callable[[float, float], float]


def new_row(num_values: int) -> Row:
    """Return a row of zeros in memory of this process."""
    return memoryview(bytearray(8 * num_values)).cast("d")


class Arena:
    """Rows of 64-bit floats under keys, in a part of a segment that one process writes and any reads.

    The first 8 bytes are the size of what is in use, these 8 included. A row is the size of its key and how many
    numbers it has (32 bits each), the key, padded to 8 bytes, and the numbers. It is whole before the size in use
    tells of it, and it stays where it is. A number is written at once, as 8 bytes that lie in line are.
    """

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        if not self._used:
            self._used = _USED.size

    @property
    def _used(self) -> int:
        used: int = _USED.unpack_from(self._memory)[0]
        return used

    @_used.setter
    def _used(self, size: int) -> None:
        _USED.pack_into(self._memory, 0, size)

    def add(self, key: bytes, num_values: int) -> memoryview[float] | None:
        """Append a row of zeros; None where there is no room."""
        used = self._used
        start = used + _HEAD.size + -(-len(key) // 8) * 8
        end = start + 8 * num_values
        if end > len(self._memory):
            return None
        _HEAD.pack_into(self._memory, used, len(key), num_values)
        self._memory[used + _HEAD.size : used + _HEAD.size + len(key)] = key
        self._used = end
        return self._memory[start:end].cast("d")

    def rows(self) -> Iterator[tuple[bytes, memoryview[float]]]:
        """Yield every row with its key, in the order in which they came. Cost: O(rows)."""
        at, used = _USED.size, self._used
        while at < used:
            key_size, num_values = _HEAD.unpack_from(self._memory, at)
            start = at + _HEAD.size + -(-key_size // 8) * 8
            at_key = at + _HEAD.size
            at = start + 8 * num_values
            yield bytes(self._memory[at_key : at_key + key_size]), self._memory[start:at].cast("d")


class Shared:
    """The arenas of all workers, of which one is this process's own."""

    def __init__(self, arenas: Sequence[Arena], own: int) -> None:
        self._arenas = arenas
        self._own = arenas[own]
        self._rows = dict(self._own.rows())
        self._is_full = False

    def row(self, name: str, labels: tuple[str, ...], num_values: int) -> Row:
        """Return this process's row of a metric; one that nobody else sees where the memory is used up."""
        key = orjson.dumps([name, *labels])
        row = self._rows.get(key)
        if row is None or len(row) != num_values:
            row = self._own.add(key, num_values)
            if row is None:
                if not self._is_full:
                    _log.error("the memory of the metrics is full: new series count in one worker only")
                self._is_full = True
                return new_row(num_values)
            self._rows[key] = row
        return row

    def own_rows(self, name: str) -> Iterator[memoryview[float]]:
        """Yield this process's rows of a metric."""
        prefix = orjson.dumps([name])[:-1]
        yield from (row for key, row in self._rows.items() if key.startswith((prefix + b",", prefix + b"]")))

    def merged(self) -> dict[str, list[tuple[tuple[str, ...], list[float]]]]:
        """Return the rows of all processes by metric: labels and numbers. Cost: O(rows of all)."""
        found: dict[str, list[tuple[tuple[str, ...], list[float]]]] = {}
        for arena in self._arenas:
            for key, row in arena.rows():
                name, *labels = orjson.loads(key)
                found.setdefault(name, []).append((tuple(labels), list(row)))
        return found


def merge(
    rows: Sequence[tuple[tuple[str, ...], list[float]]], how: Merge
) -> Iterator[tuple[tuple[str, ...], list[float]]]:
    """Yield one row for each set of labels. NaN is no value."""
    merged: dict[tuple[str, ...], list[float]] = {}
    for labels, values in rows:
        known = merged.get(labels)
        if known is None or len(known) != len(values):
            merged[labels] = values
        else:
            merged[labels] = [
                b if math.isnan(a) else a if math.isnan(b) else how(a, b) for a, b in zip(known, values, strict=True)
            ]
    yield from ((labels, values) for labels, values in merged.items() if not math.isnan(values[0]))
