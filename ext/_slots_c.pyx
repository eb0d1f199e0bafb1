# cython: language_level=3, boundscheck=True, wraparound=False
"""Slots in memory that processes can share, compiled; `_slots_py` specifies them."""

import fcntl
import mmap
import os

cimport cython

from ._limiter_cells_py import checked_secret, shape
from ._limiter_key import encode_key
from ._slots_py import check_holders, check_limit, check_place

include "_limiter_atomic.pxi"
include "_limiter_key.pxi"
include "_slots_take.pxi"

cdef extern from *:
    """
    #define headgate_part_of(hash, num_parts) ((uint64_t)(((unsigned __int128)(hash) * (num_parts)) >> 64))
    """
    uint64_t part_of "headgate_part_of"(uint64_t hash, uint64_t num_parts) noexcept nogil

cdef uint64_t _MAGIC = 0x3153544F4C534748ULL  # HGSLOTS1: another layout has another number
cdef Py_ssize_t _HEADER_BYTES = 4096
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

cdef struct Header:
    uint64_t magic
    uint64_t max_keys
    uint64_t secret[2]
    uint64_t num_holders


@cython.final
cdef class SlotTable:
    """A bounded table of counts. As the twin."""

    cdef const unsigned char[::1] _memory  # keeps the mapping
    cdef Header *_header
    cdef Table _table
    cdef int _fd
    cdef uint64_t _num_rows
    cdef uint64_t _holder

    is_shareable = True

    def __cinit__(self, max_keys, secret=None):
        self._fd = -1
        if max_keys is not None:
            secret = checked_secret(secret)
            self._map(mmap.mmap(-1, _size(max_keys, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), max_keys)
            self._begin(max_keys, 1, secret)

    def __dealloc__(self):
        if self._fd >= 0:
            os.close(self._fd)

    @classmethod
    def create(cls, max_keys, num_holders):
        """Make a table that so many processes can attach, as its holder 0. Raises: OSError without memory for it."""
        cdef SlotTable table = SlotTable.__new__(SlotTable, None)
        check_holders(num_holders)
        size = _size(max_keys, num_holders)
        table._fd = os.memfd_create("headgate-slots", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(table._fd, size)
        fcntl.fcntl(table._fd, fcntl.F_ADD_SEALS, _SEALS)  # who shrinks it would end all who look at it
        table._map(mmap.mmap(table._fd, size), max_keys)
        table._begin(max_keys, num_holders, checked_secret(None))
        return table

    @classmethod
    def attach(cls, int fd, int holder):
        """Take part, as `holder`, in the table that `create` made in another process; `fd` stays the caller's.

        Raises: OSError where `fd` cannot be mapped, ValueError where it is no such table or has no such holder.
        """
        cdef SlotTable table = SlotTable.__new__(SlotTable, None)
        table._fd = os.dup(fd)
        size = os.fstat(table._fd).st_size
        if size < _HEADER_BYTES or fcntl.fcntl(table._fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise ValueError(f"expected slots made by create, got a file of {size} bytes without its seals")
        table._map(mmap.mmap(table._fd, size), None)
        header = table._header
        if header.magic != _MAGIC or _size(header.max_keys, header.num_holders) != size:
            raise ValueError(f"expected slots of this version, got a file of {size} bytes that holds no such")
        if not 0 <= holder < <int>header.num_holders:
            raise ValueError(f"expected a holder below {header.num_holders}, got {holder}")
        table._shape(header.max_keys)
        table._holder = holder
        return table

    def fileno(self):
        """Return the descriptor of a table that `create` or `attach` returned; it lives as long as the table."""
        if self._fd < 0:
            raise RuntimeError("expected a table made by create or attach: this one is one process's own")
        return self._fd

    def __len__(self):
        """Count the keys that have slots. Cost: linear in the size of the table."""
        cdef uint64_t place
        cdef Py_ssize_t number = 0
        for place in range(self._table.num_cells):
            number += load(&self._table.cells[place].tat) & MOST != 0
        return number

    def take(self, tuple key not None, int64_t limit, holder=None):
        """Take a slot in the name of `holder` (without one: of whoever calls); None where `limit` are taken."""
        cdef uint64_t row, id
        cdef int64_t place, by = self._named(0, holder)
        if limit < 1 or <uint64_t>limit > MOST:
            check_limit(limit)
        row = self._row(key, &id)
        place = take_slot(&self._table, row, id, limit, by)
        return None if place < 0 else place

    def give_back(self, int64_t place, holder=None):
        """Give back a slot that `holder` (without one: whoever calls) has; tell whether it had one. Cost: O(1)."""
        cdef int64_t by = self._named(place, holder)
        return give_slot(&self._table, place, by)

    def count(self, tuple key not None):
        """Return how many slots a key has. Cost: O(1)."""
        cdef Cell seen
        cdef uint64_t row, id
        row = self._row(key, &id)
        return seen.tat & MOST if find_cell(&self._table, row, id, &seen) >= 0 and seen.id == id else 0

    def shares(self, tuple key not None):
        """Return how many slots of a key each holder has. Cost: linear in the holders."""
        cdef Cell seen
        cdef uint64_t row, id, holder
        cdef int64_t place
        row = self._row(key, &id)
        place = find_cell(&self._table, row, id, &seen)
        if place < 0 or seen.id != id:
            return [0] * self._header.num_holders
        return [load(own_word(&self._table, place, holder)) & MOST for holder in range(self._header.num_holders)]

    def clear(self, int64_t holder):
        """Give back all that a holder has, who is dead; return how many. Cost: linear in the size of the table."""
        cdef uint64_t place, number = 0
        self._named(0, holder)
        for place in range(self._table.num_cells):
            if load(&self._table.cells[place].id):
                number += leave(&self._table, place, holder, CLEARED)
        return number

    cdef inline int64_t _named(self, int64_t place, holder) except -1:
        """Return who is meant, who has a word for that place."""
        cdef int64_t by = <int64_t>self._holder if holder is None else <int64_t>holder
        if not 0 <= place < <int64_t>self._table.num_cells or not 0 <= by < <int64_t>self._header.num_holders:
            check_place(place, self._table.num_cells, by, self._header.num_holders)
        return by

    cdef int _map(self, view, max_keys) except -1:
        cdef unsigned char[::1] memory = view
        self._memory = memory
        self._header = <Header *>&memory[0]
        if max_keys is not None:
            self._shape(max_keys)
        return 0

    cdef int _shape(self, max_keys) except -1:
        self._num_rows, self._table.row_cells = shape(max_keys)
        self._table.num_cells = self._num_rows * self._table.row_cells
        self._table.cells = <Cell *>(<char *>self._header + _HEADER_BYTES)
        self._table.owns = <uint64_t *>(self._table.cells + self._table.num_cells)
        return 0

    cdef int _begin(self, max_keys, num_holders, bytes secret) except -1:
        memcpy(self._header.secret, PyBytes_AS_STRING(secret), sizeof(self._header.secret))
        self._header.max_keys = max_keys
        self._header.num_holders = num_holders
        self._header.magic = _MAGIC
        return 0

    cdef uint64_t _row(self, tuple key, uint64_t *id) except? 0:
        """Hash a key: return the first place of its row."""
        cdef uint64_t halves[2]
        cdef char name[NAME_BYTES]
        cdef Py_ssize_t size = write_name(key, name)
        cdef bytes long_name
        if size >= 0:
            siphash(self._header.secret, name, size, halves)
        else:
            long_name = encode_key(key)
            siphash(self._header.secret, long_name, len(long_name), halves)
        id[0] = halves[0] or 1  # 0 marks a cell that nobody has used
        return part_of(halves[1], self._num_rows) * self._table.row_cells


cdef Py_ssize_t _size(max_keys, num_holders) except -1:
    num_rows, row_cells = shape(max_keys)
    return _HEADER_BYTES + num_rows * row_cells * (sizeof(Cell) + 8 * num_holders)
