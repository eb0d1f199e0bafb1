# cython: language_level=3, boundscheck=True, wraparound=False
"""The cache core, compiled; `_cache_core_py` and `_cache_order_py` specify it."""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.number cimport PyNumber_AsSsize_t
from cpython.object cimport PyObject, PyObject_Hash
from libc.stdint cimport uint32_t, uint64_t

from types import GenericAlias

from ._cache_facts import MAX_BYTES, MAX_STEPS, POLICIES, SWEPT_PER_PUT, Reason

cdef enum:
    SIZE = 0
    EXPIRED = 1
    REPLACED = 2
    INVALIDATED = 3
    NUM_REASONS = 4
    LEAST_ROWS = 64

if POLICIES != ("lru", "sieve", "s3fifo") or [reason.name for reason in Reason] != [
    "SIZE", "EXPIRED", "REPLACED", "INVALIDATED"
]:
    raise ImportError(f"expected other policies and reasons than {POLICIES}, {list(Reason)}: build the extensions again")

include "_cache_queue.pxi"
include "_cache_ghosts.pxi"
include "_cache_order.pxi"

cdef tuple _REASONS = tuple(Reason)
cdef Py_ssize_t _MAX_BYTES = MAX_BYTES, _SWEPT_PER_PUT = SWEPT_PER_PUT


@cython.final
cdef class CacheCore:
    """Values under keys within a budget of bytes, each until an instant. As the twin."""

    cdef dict _nodes
    cdef list _rows
    cdef double *_expiries  # of the rows: side by side, so that a sweep need not visit the entries
    cdef Py_ssize_t _capacity  # of these
    cdef object _on_leave
    cdef _Order _order
    cdef Py_ssize_t _swept
    cdef Py_ssize_t _left[NUM_REASONS]
    cdef readonly Py_ssize_t max_bytes
    cdef readonly Py_ssize_t stored_bytes
    cdef readonly Py_ssize_t reserved_bytes

    def __cinit__(self, max_bytes, policy, on_leave=None):
        if policy not in POLICIES:
            raise ValueError(f"expected a policy of {', '.join(POLICIES)}, got {policy!r}")
        self.max_bytes = _size(max_bytes, 1)
        self._order = _Order(POLICIES.index(policy))
        self._on_leave = on_leave
        self._nodes = {}
        self._rows = []

    @classmethod
    def __class_getitem__(cls, item):
        return GenericAlias(cls, item)

    def __dealloc__(self):
        PyMem_Free(self._expiries)

    def __len__(self):
        return len(self._nodes)

    def __contains__(self, key):
        return key in self._nodes

    def __iter__(self):
        return iter(self._order.keys())

    @property
    def policy(self):
        """Which entries go first."""
        return POLICIES[self._order.policy]

    @property
    def used_bytes(self):
        """Stored and reserved bytes."""
        return self.stored_bytes + self.reserved_bytes

    def num_left(self, reason):
        """How many entries have left for `reason`."""
        return self._left[_reason(reason)]

    def get(self, key, double now):
        """Return the value of `key`, which counts as a use; None where there is none, or it has expired and leaves."""
        cdef PyObject *found = PyDict_GetItemWithError(self._nodes, key)
        cdef _Node node
        if found == NULL:
            return None
        node = <_Node>found
        if not node.expires_at > now:
            self._remove(node, EXPIRED)
            return None
        self._order.use(node)
        return node.value

    def peek(self, key):
        """Return the value of `key`, expired or not; None where there is none. No use of it."""
        cdef PyObject *found = PyDict_GetItemWithError(self._nodes, key)
        return None if found == NULL else (<_Node>found).value

    def put(self, key, value, size_bytes, double expires_at, double now):
        """Store a value, in place of that of the key before. Others leave until there is room. As the twin."""
        cdef Py_ssize_t size = _size(size_bytes, 1)
        cdef PyObject *found
        cdef _Node node  # owns what the dict and the list let go
        self._sweep(_SWEPT_PER_PUT, now)
        found = PyDict_GetItemWithError(self._nodes, key)
        if found != NULL:
            node = <_Node>found
            self._remove(node, REPLACED)
        if size > self.max_bytes - self.reserved_bytes or not expires_at > now:
            return False
        self._make_room(size, now)
        self._add(key, value, size, expires_at)
        return True

    def delete(self, key, reason=INVALIDATED):
        """Let the entry of `key` leave; tell whether there was one."""
        cdef int checked = _reason(reason)
        cdef PyObject *found = PyDict_GetItemWithError(self._nodes, key)
        cdef _Node node
        if found == NULL:
            return False
        node = <_Node>found
        self._remove(node, checked)
        return True

    def sweep(self, Py_ssize_t num_entries, double now):
        """Let those of the next `num_entries` leave that have expired. In turn, every entry is looked at."""
        self._sweep(num_entries, now)

    def reserve(self, size_bytes, double now):
        """Set bytes aside; entries leave until there is room. False where no room can be made, and none is."""
        cdef Py_ssize_t size = _size(size_bytes, 0)
        if size > self.max_bytes - self.reserved_bytes:
            return False
        self._make_room(size, now)
        self.reserved_bytes += size
        return True

    def release(self, size_bytes):
        """Give reserved bytes back."""
        cdef Py_ssize_t size = _size(size_bytes, 0)
        if size > self.reserved_bytes:
            raise ValueError(f"expected at most the {self.reserved_bytes} bytes that are reserved, got {size}")
        self.reserved_bytes -= size

    def resize(self, max_bytes):
        """Change the budget; entries leave for SIZE until the rest fits."""
        self.max_bytes = _size(max_bytes, 1)
        self._make_room(0, -float("inf"))

    cdef int _add(self, key, value, Py_ssize_t size, double expires_at) except -1:
        cdef _Node node = _Node.__new__(_Node)
        node.key, node.value, node.size_bytes, node.expires_at = key, value, size, expires_at
        node.uses = 0
        node.hashed = PyObject_Hash(key)
        node.row = len(self._rows)
        if node.row == self._capacity:
            self._grow()
        self._expiries[node.row] = expires_at
        self._rows.append(node)
        try:
            self._nodes[key] = node
        except BaseException:
            self._rows.pop()
            raise
        self._order.add(node)
        self.stored_bytes += size
        return 0

    cdef int _sweep(self, Py_ssize_t num_entries, double now) except -1:
        cdef _Node node
        for _ in range(min(num_entries, len(self._rows))):
            if self._swept >= len(self._rows):
                self._swept = 0
            if self._expiries[self._swept] > now:
                self._swept += 1
            else:
                node = <_Node>self._rows[self._swept]
                self._remove(node, EXPIRED)
        return 0

    cdef int _grow(self) except -1:
        """Make room for more rows."""
        cdef Py_ssize_t capacity = max(2 * self._capacity, LEAST_ROWS)
        cdef double *expiries = <double *>PyMem_Realloc(self._expiries, capacity * sizeof(double))
        if expiries == NULL:
            raise MemoryError
        self._expiries, self._capacity = expiries, capacity
        return 0

    cdef int _make_room(self, Py_ssize_t size, double now) except -1:
        cdef _Node node
        while len(self._rows) and size > self.max_bytes - self.reserved_bytes - self.stored_bytes:
            node = self._order.victim(self.max_bytes)
            self._remove(node, SIZE if node.expires_at > now else EXPIRED)
        return 0

    cdef int _remove(self, _Node node, int reason) except -1:
        cdef _Node last
        del self._nodes[node.key]
        last = <_Node>self._rows.pop()
        if last is not node:
            self._rows[node.row] = last
            last.row = node.row
            self._expiries[last.row] = last.expires_at
        self._order.remove(node, reason, len(self._rows))
        self.stored_bytes -= node.size_bytes
        self._left[reason] += 1
        if self._on_leave is not None:
            self._on_leave(node.key, node.value, _REASONS[reason])
        return 0


cdef Py_ssize_t _size(number, Py_ssize_t least) except -1:
    cdef Py_ssize_t size = PyNumber_AsSsize_t(number, ValueError)
    if not least <= size <= _MAX_BYTES:
        raise ValueError(f"expected a number of bytes from {least} to {_MAX_BYTES}, got {size}")
    return size


cdef int _reason(number) except -1:
    if not 0 <= number < NUM_REASONS:
        raise ValueError(f"expected a reason from 0 to {NUM_REASONS - 1}, got {number}")
    return number
