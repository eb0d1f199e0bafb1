# The orders in which entries are given up.

cdef enum:
    LRU = 0
    SIEVE = 1
    S3FIFO = 2
    MOST_USES = 3

cdef int _MAX_STEPS = MAX_STEPS


@cython.final
cdef class _Order:
    """One of the three, as the twin's classes."""

    cdef int policy
    cdef _Node ends  # of the main queue, which lru and sieve have alone
    cdef _Node small_ends
    cdef Py_ssize_t small_bytes
    cdef void *hand
    cdef _Ghosts ghosts

    def __cinit__(self, int policy):
        self.policy = policy
        self.ends = _new_ends()
        self.small_ends = _new_ends()
        self.hand = <void *>self.ends
        self.ghosts = _Ghosts.__new__(_Ghosts)

    cdef list keys(self):
        """Return the keys in order."""
        cdef list keys = []
        _collect(self.small_ends, keys)
        _collect(self.ends, keys)
        return keys

    cdef inline void add(self, _Node node) noexcept:
        """Take a new entry in."""
        node.is_main = self.policy != S3FIFO or self.ghosts.take(node.hashed)
        if node.is_main:
            _push(self.ends, node)
        else:
            _push(self.small_ends, node)
            self.small_bytes += node.size_bytes

    cdef inline void use(self, _Node node) noexcept:
        """Note that an entry was asked for."""
        if self.policy == LRU:
            _unlink(node)
            _push(self.ends, node)
        elif self.policy == SIEVE:
            node.uses = 1
        elif node.uses < MOST_USES:
            node.uses += 1

    cdef inline void remove(self, _Node node, int reason, Py_ssize_t num_left) noexcept:
        """Let an entry go, after which there are `num_left`."""
        if self.hand == <void *>node:
            self.hand = node.newer
        _unlink(node)
        if self.policy != S3FIFO:
            return
        if not node.is_main:
            self.small_bytes -= node.size_bytes
        if node.is_main != (reason == SIZE):
            self.ghosts.add(node.hashed)
        self.ghosts.trim(num_left)

    cdef inline _Node victim(self, Py_ssize_t max_bytes):
        """Find the entry to give up. There is one."""
        if self.policy == LRU:
            return <_Node>self.ends.newer
        return self._sieve_victim() if self.policy == SIEVE else self._s3fifo_victim(max_bytes)

    cdef _Node _sieve_victim(self):
        cdef void *ends = <void *>self.ends
        cdef void *at = self.ends.newer if self.hand == ends else self.hand
        cdef int step
        for step in range(_MAX_STEPS):
            if not (<_Node>at).uses:
                break
            (<_Node>at).uses = 0
            at = (<_Node>at).newer
            if at == ends:
                at = self.ends.newer
        self.hand = at
        return <_Node>at

    cdef _Node _s3fifo_victim(self, Py_ssize_t max_bytes):
        cdef bint is_small = _is_empty(self.ends) or self.small_bytes >= (max_bytes + 9) // 10
        cdef _Node node
        cdef int step
        for step in range(_MAX_STEPS + 1):
            node = <_Node>(self.small_ends.newer if is_small and not _is_empty(self.small_ends) else self.ends.newer)
            if node.uses <= (not node.is_main) or step == _MAX_STEPS:
                break
            self._move(node)
        return node

    cdef void _move(self, _Node node) noexcept:
        _unlink(node)
        if node.is_main:
            node.uses -= 1
        else:
            node.uses = 0
            node.is_main = True
            self.small_bytes -= node.size_bytes
        _push(self.ends, node)
