# Entries, and the queues that they stand in.


@cython.final
@cython.freelist(64)
cdef class _Node:
    """One entry. The core's list owns it; its neighbours are borrowed."""

    cdef object key
    cdef object value
    cdef double expires_at
    cdef Py_ssize_t size_bytes
    cdef Py_ssize_t row
    cdef Py_hash_t hashed  # s3fifo only
    cdef void *older
    cdef void *newer
    cdef int uses
    cdef bint is_main


cdef _Node _new_ends():
    """Return the end and beginning of an empty queue."""
    cdef _Node ends = _Node.__new__(_Node)
    ends.older = ends.newer = <void *>ends
    return ends


cdef inline void _push(_Node ends, _Node node) noexcept:
    """Put `node` in as the newest."""
    node.older = ends.older
    node.newer = <void *>ends
    (<_Node>ends.older).newer = <void *>node
    ends.older = <void *>node


cdef inline void _unlink(_Node node) noexcept:
    (<_Node>node.older).newer = node.newer
    (<_Node>node.newer).older = node.older


cdef inline bint _is_empty(_Node ends) noexcept:
    return ends.newer == <void *>ends


cdef void _collect(_Node ends, list keys):
    """Append the keys, the oldest first."""
    cdef void *at = ends.newer
    while at != <void *>ends:
        keys.append((<_Node>at).key)
        at = (<_Node>at).newer
