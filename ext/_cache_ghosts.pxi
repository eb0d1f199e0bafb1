# The hashes of the keys that left last: a ring in the order of addition, each also in the chain of its bucket.

cdef struct Ghost:
    Py_hash_t hashed
    uint32_t next  # the next in the chain, an older one: its place in the ring and 1
    uint32_t is_known

cdef enum:
    LEAST_GHOSTS = 64
    MOST_GHOSTS = 1 << 30


@cython.final
cdef class _Ghosts:
    """As the twin. One that finds no memory is not remembered."""

    cdef Ghost *_ring
    cdef uint32_t *_heads  # as many as the ring has places
    cdef Py_ssize_t _capacity  # a power of two, or 0
    cdef Py_ssize_t _first  # the place of the oldest
    cdef Py_ssize_t _num

    def __dealloc__(self):
        self._free()

    cdef void add(self, Py_hash_t hashed) noexcept:
        """Remember a key as the newest."""
        self.take(hashed)
        if self._num < self._capacity or self._grow():
            self._append(hashed, True)

    cdef bint take(self, Py_hash_t hashed) noexcept:
        """Forget a key; tell whether it was known."""
        cdef uint32_t at
        if self._num == 0:
            return False
        at = self._heads[self._bucket(hashed)]
        while at:
            if self._ring[at - 1].hashed == hashed and self._ring[at - 1].is_known:
                self._ring[at - 1].is_known = False
                return True
            at = self._ring[at - 1].next
        return False

    cdef void trim(self, Py_ssize_t most) noexcept:
        """Forget the oldest until there are `most`."""
        cdef uint32_t *link
        while self._num > most:
            link = &self._heads[self._bucket(self._ring[self._first].hashed)]
            while link[0] != self._first + 1:
                link = &self._ring[link[0] - 1].next
            link[0] = 0  # the oldest is the last of its chain
            self._first = (self._first + 1) & (self._capacity - 1)
            self._num -= 1
        if self._num == 0 and self._capacity:
            self._free()

    cdef void _append(self, Py_hash_t hashed, bint is_known) noexcept:
        cdef Py_ssize_t place = (self._first + self._num) & (self._capacity - 1)
        cdef uint32_t *head = &self._heads[self._bucket(hashed)]
        self._ring[place] = Ghost(hashed, head[0], is_known)
        head[0] = place + 1
        self._num += 1

    cdef Py_ssize_t _bucket(self, Py_hash_t hashed) noexcept:
        # Hashes of numbers are the numbers: the multiplication (Knuth, TAOCP 3, §6.4) mixes them into the upper bits.
        return ((<uint64_t>hashed * 0x9E3779B97F4A7C15ULL) >> 32) & (self._capacity - 1)

    cdef bint _grow(self) noexcept:
        """Double the room."""
        cdef Py_ssize_t place, first = self._first, num = self._num, old_capacity = self._capacity
        cdef Py_ssize_t capacity = max(2 * old_capacity, LEAST_GHOSTS)
        cdef Ghost *old = self._ring
        cdef Ghost *ring
        cdef uint32_t *heads
        if capacity > MOST_GHOSTS:
            return False
        ring = <Ghost *>PyMem_Malloc(capacity * sizeof(Ghost))
        heads = <uint32_t *>PyMem_Calloc(capacity, sizeof(uint32_t))
        if ring == NULL or heads == NULL:
            PyMem_Free(ring)
            PyMem_Free(heads)
            return False
        PyMem_Free(self._heads)
        self._ring, self._heads, self._capacity = ring, heads, capacity
        self._first = self._num = 0
        for place in range(first, first + num):
            self._append(old[place & (old_capacity - 1)].hashed, old[place & (old_capacity - 1)].is_known)
        PyMem_Free(old)
        return True

    cdef void _free(self) noexcept:
        PyMem_Free(self._ring)
        PyMem_Free(self._heads)
        self._ring = NULL
        self._heads = NULL
        self._capacity = self._first = self._num = 0
