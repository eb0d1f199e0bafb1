# cython: language_level=3, boundscheck=True, wraparound=False
"""Limiter cells in memory that processes can share, compiled; `_limiter_cells_py` specifies them."""

import fcntl
import mmap
import os

cimport cython
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from libc.string cimport memset

from ._gcra import Decision
from ._limiter_cells_py import NUM_SHARED, check, checked_secret, shape
from ._limiter_key import encode_key

include "_limiter_atomic.pxi"
include "_limiter_key.pxi"
include "_limiter_take.pxi"

cdef extern from "Python.h":
    object PyType_GenericAlloc(PyTypeObject *type, Py_ssize_t nitems)  # Cython's own declaration takes any object

cdef extern from *:
    """
    #define headgate_part_of(hash, num_parts) ((uint64_t)(((unsigned __int128)(hash) * (num_parts)) >> 64))
    """
    uint64_t part_of "headgate_part_of"(uint64_t hash, uint64_t num_parts) noexcept nogil

cdef object _DECISION = Decision
cdef uint64_t _MAGIC = 0x31534C4C45434748ULL  # HGCELLS1: another layout has another number
cdef Py_ssize_t _HEADER_BYTES = 4096
cdef uint64_t _NUM_SHARED = NUM_SHARED
cdef Py_ssize_t _SHARED_BYTES = NUM_SHARED * 8
cdef Py_ssize_t _CELL_BYTES = sizeof(Cell)
cdef uint64_t _END_NS = LONGEST_NS
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@cython.final
cdef class LimiterCells:
    """A bounded table of cells that never lifts a limit. As the twin."""

    cdef const unsigned char[::1] _memory  # keeps the mapping
    cdef char *_base
    cdef int _fd
    cdef uint64_t _num_rows
    cdef int _row_cells
    # What the last limit comes to: most calls have that of the one before, and none ever changes.
    cdef object _limit
    cdef Ask _terms

    is_shareable = True

    def __cinit__(self, max_cells, secret=None, *, forgets=False):
        self._fd = -1
        if max_cells is not None:
            secret = checked_secret(secret)
            self._map(mmap.mmap(-1, _size(max_cells), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), max_cells)
            self._begin(max_cells, secret, forgets)

    def __dealloc__(self):
        if self._fd >= 0:
            os.close(self._fd)

    @classmethod
    def create(cls, max_cells, *, forgets=False):
        """Make a table that other processes can attach. Raises: OSError where there is no memory for it."""
        cdef LimiterCells cells = LimiterCells.__new__(LimiterCells, None)
        size = _size(max_cells)
        cells._fd = os.memfd_create("headgate-cells", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(cells._fd, size)
        fcntl.fcntl(cells._fd, fcntl.F_ADD_SEALS, _SEALS)  # who shrinks it would end all who look at it
        cells._map(mmap.mmap(cells._fd, size), max_cells)
        cells._begin(max_cells, checked_secret(None), forgets)
        return cells

    @classmethod
    def attach(cls, int fd):
        """Take part in the table that `create` made in another process; `fd` stays the caller's.

        Raises: OSError where `fd` cannot be mapped, ValueError where it is no such table.
        """
        cdef LimiterCells cells = LimiterCells.__new__(LimiterCells, None)
        cells._fd = os.dup(fd)
        size = os.fstat(cells._fd).st_size
        if size < _HEADER_BYTES or fcntl.fcntl(cells._fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise ValueError(f"expected limiter cells made by create, got a file of {size} bytes without its seals")
        view = mmap.mmap(cells._fd, size)
        cells._map(view, None)
        header = <Header *>cells._base
        if header.magic != _MAGIC or _size(header.max_cells) != size:
            raise ValueError(f"expected limiter cells of this version, got a file of {size} bytes that holds no such")
        cells._num_rows, cells._row_cells = shape(header.max_cells)
        return cells

    def fileno(self):
        """Return the descriptor of a table that `create` or `attach` returned; it lives as long as the table."""
        if self._fd < 0:
            raise RuntimeError("expected a table made by create or attach: this one is one process's own")
        return self._fd

    def __len__(self):
        """Count the cells that are taken, full ones included. Cost: linear in the size of the table."""
        cdef uint64_t row
        cdef int place
        cdef Cell *cells = <Cell *>(self._base + _HEADER_BYTES + _SHARED_BYTES)
        cdef Py_ssize_t number = 0
        for row in range(self._num_rows):
            for place in range(self._row_cells):
                number += load(&cells[row * self._row_cells + place].id) != 0
        return number

    def admit(self, tuple key not None, limit, int64_t cost, int64_t now_ns):
        """Ask `limit` for `cost` units in the name of `key`; for 0 units it only tells. Cost: O(1)."""
        cdef Ask ask
        cdef Outcome outcome
        self._ask(&ask, key, limit)
        _put(&ask, cost, now_ns)
        outcome = take(&ask)
        return _decision(&ask, outcome != REFUSED)

    def reserve(self, tuple key not None, limit, int64_t units, int64_t now_ns):
        """Ask for as many units as something may use, to settle later. Cost: O(1)."""
        cdef Reserved reserved = Reserved.__new__(Reserved)
        cdef Outcome outcome
        self._ask(&reserved._ask, key, limit)
        _put(&reserved._ask, units, now_ns)
        outcome = take(&reserved._ask)
        reserved._cells = self
        reserved._units = units
        reserved._is_shared = outcome == SHARED
        reserved._is_open = outcome != REFUSED
        reserved.decision = _decision(&reserved._ask, outcome != REFUSED)
        return reserved

    cdef int _map(self, view, max_cells) except -1:
        cdef unsigned char[::1] memory = view
        self._memory = memory
        self._base = <char *>&memory[0]
        if max_cells is not None:
            self._num_rows, self._row_cells = shape(max_cells)
        return 0

    cdef int _begin(self, max_cells, bytes secret, bint forgets) except -1:
        cdef Header *header = <Header *>self._base
        memcpy(header.secret, PyBytes_AS_STRING(secret), sizeof(header.secret))
        header.max_cells = max_cells
        header.forgets = forgets
        header.magic = _MAGIC
        return 0

    cdef inline int _ask(self, Ask *ask, tuple key, limit) except -1:
        """Fill in what key and limit decide."""
        cdef uint64_t halves[2]
        cdef uint64_t row
        cdef char name[NAME_BYTES]
        cdef Py_ssize_t size = write_name(key, name)
        cdef bytes long_name
        if size >= 0:
            siphash((<Header *>self._base).secret, name, size, halves)
        else:
            long_name = encode_key(key)
            siphash((<Header *>self._base).secret, long_name, len(long_name), halves)
        if limit is not self._limit:
            self._learn(limit)
        ask[0] = self._terms
        ask.id = halves[0] or 1  # 0 marks a free cell
        row = part_of(halves[1], self._num_rows)
        ask.row = <Cell *>(self._base + _HEADER_BYTES + _SHARED_BYTES) + row * self._row_cells
        return 0

    cdef int _learn(self, limit) except -1:
        cdef Ask terms
        memset(&terms, 0, sizeof(terms))
        terms.header = <Header *>self._base
        terms.row_cells = self._row_cells
        terms.interval, terms.burst = limit.interval_ns, limit.burst
        terms.refill = terms.interval * terms.burst
        terms.shared = <uint64_t *>(self._base + _HEADER_BYTES) + part_of(
            terms.interval * 0x9E3779B97F4A7C15ULL + terms.burst * 0xC2B2AE3D27D4EB4FULL, _NUM_SHARED
        )
        self._terms = terms
        self._limit = limit
        return 0


@cython.final
cdef class Reserved:
    """Units that were asked for something that may use them. As the twin."""

    cdef LimiterCells _cells
    cdef Ask _ask
    cdef int64_t _units
    cdef bint _is_shared
    cdef bint _is_open
    cdef readonly object decision

    def settle(self, int64_t units, int64_t now_ns):
        """Tell how many units were used: the rest is given back, what is above the estimate is owed. Cost: O(1)."""
        cdef Ask ask = self._ask
        check(units, now_ns)
        _put(&ask, abs(units - self._units), now_ns)
        if not self._is_open:
            raise RuntimeError("expected a reservation to settle, got one that was settled before, or refused")
        self._is_open = False
        if units > self._units:
            ask.is_owed = True
            take(&ask)
        elif not self._is_shared:
            give_back(&ask)


cdef inline int _put(Ask *ask, int64_t units, int64_t now_ns) except -1:
    if units < 0 or <uint64_t>units > LONGEST_NS or now_ns < 0 or <uint64_t>now_ns >= _END_NS:
        check(units, now_ns)
    ask.units = units
    ask.now = now_ns
    return 0


cdef object _decision(Ask *ask, bint is_admitted):
    """Make a Decision, which is a tuple, without a call of its type: that would cost as much as all the rest."""
    cdef uint64_t end = ask.now + ask.refill, remaining = ask.burst, next_unit = 0
    if ask.tat > end:
        remaining, next_unit = 0, ask.interval + (ask.tat - end)
    elif ask.tat > ask.now:
        remaining = (end - ask.tat) // ask.interval
        next_unit = ask.interval - (end - ask.tat) % ask.interval
    if is_admitted:
        retry_after = 0
    else:
        retry_after = ask.tat + ask.units * ask.interval - end if ask.units <= ask.burst else None
    decision = PyType_GenericAlloc(<PyTypeObject *>_DECISION, 4)
    _set(decision, 0, True if is_admitted else False)
    _set(decision, 1, remaining)
    _set(decision, 2, next_unit)
    _set(decision, 3, retry_after)
    return decision


cdef inline void _set(decision, Py_ssize_t place, value) noexcept:
    Py_INCREF(value)
    PyTuple_SET_ITEM(decision, place, value)


cdef Py_ssize_t _size(max_cells) except -1:
    num_rows, row_cells = shape(max_cells)
    return _HEADER_BYTES + _SHARED_BYTES + num_rows * row_cells * _CELL_BYTES
