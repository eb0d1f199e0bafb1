"""The memory of a shared table of limiter cells, as another process sees it."""

from __future__ import annotations

import mmap
import struct

from headgate.ext._limiter_cells_py import NUM_SHARED, row_of, shape
from headgate.ext._limiter_key import encode_key, siphash128
from headgate.ext.limiter_cells import Key, LimiterCells

CLAIMED = 1 << 63
SECRET_AT = 16
DROPPED_AT = 64
CLAIMS_AT = 72
CELLS_AT = 4096 + 8 * NUM_SHARED


class Memory:
    """Reads cells, and leaves behind what a process leaves that dies in between."""

    def __init__(self, cells: LimiterCells, max_cells: int) -> None:
        self._memory = mmap.mmap(cells.fileno(), 0)
        self._num_rows, self._row_cells = shape(max_cells)
        self.secret = self._memory[SECRET_AT : SECRET_AT + 16]

    def id_of(self, key: Key) -> int:
        return siphash128(self.secret, encode_key(key))[0] or 1

    def place_of(self, key: Key) -> int:
        """Where the first cell of a key's row is."""
        return row_of(self.secret, encode_key(key), self._num_rows) * self._row_cells

    def read(self, place: int) -> tuple[int, int]:
        """Return whose cell it is, and its time."""
        caller, tat = struct.unpack_from("<QQ", self._memory, CELLS_AT + 16 * place)
        return caller, tat

    def claim(self, place: int, key: Key) -> None:
        """Claim a cell as a process does that dies then."""
        (number,) = struct.unpack_from("<Q", self._memory, CLAIMS_AT)
        struct.pack_into("<Q", self._memory, CLAIMS_AT, number + 1)
        struct.pack_into("<QQ", self._memory, CELLS_AT + 16 * place, self.id_of(key), CLAIMED | number + 1)

    def note_dropped(self, tat: int) -> None:
        """Note a dropped cell, as a process does that dies before it takes the cell."""
        struct.pack_into("<Q", self._memory, DROPPED_AT, tat)

    def __len__(self) -> int:
        return len(self._memory)
