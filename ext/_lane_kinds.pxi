# What becomes of fields, by their names: a table of those that came before.

cdef enum FieldKind:
    KEPT  # travels on
    DROPPED  # of one connection, or ours to say
    CHAINED  # Via: ours follows it
    TOLD_ID  # x-request-id
    TOLD_TRACE  # traceparent
    WISH  # x-headgate-…, of a client

cdef enum:
    MAX_KINDS = 1024  # names that are remembered, a power of two; any more are judged anew each time
    MAX_KIND_BYTES = 64  # of a name that is remembered
    NUM_TRIES = 8  # where a name may stand in the table, so that no choice of names makes a look-up long

cdef struct Place:
    PyObject *name  # bytes of ours; NULL: free
    unsigned long long hash
    int kind


cdef inline unsigned long long _mix(unsigned long long hash, Octets at, Py_ssize_t size) noexcept nogil:
    cdef unsigned long long word = 0
    if size == 8:  # of a constant size: no call
        memcpy(&word, at, 8)
    else:
        while size:
            size -= 1
            word = word << 8 | at[size]
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL
    return hash ^ hash >> 32


cdef unsigned long long _hash_of(Span *name) noexcept nogil:
    """Return a number of a name. Names to collide may be chosen: see NUM_TRIES."""
    cdef unsigned long long hash = <unsigned long long>name.size
    cdef Py_ssize_t at = 0
    while name.size - at >= 8:
        hash = _mix(hash, name.at + at, 8)
        at += 8
    return _mix(hash, name.at + name.size - 8, 8) if at else _mix(hash, name.at, name.size)


@cython.final
cdef class Kinds:
    """What becomes of fields, by their names as they are written."""

    cdef object _judge
    cdef Place[MAX_KINDS] _places

    def __cinit__(self, judge):
        self._judge = judge

    def __dealloc__(self):
        cdef Py_ssize_t at
        for at in range(MAX_KINDS):
            Py_XDECREF(self._places[at].name)

    cdef bytes of(self, Span *name, int *kind):
        """Return a name, the same object for a name that is remembered; `kind` is set to what becomes of its field."""
        cdef unsigned long long hash = _hash_of(name)
        cdef Place *place = NULL
        cdef Py_ssize_t at
        if name.size > MAX_KIND_BYTES:
            return self._meet(name, hash, NULL, kind)
        for at in range(NUM_TRIES):
            place = self._places + ((<Py_ssize_t>(hash & (MAX_KINDS - 1)) + at) & (MAX_KINDS - 1))
            if place.name == NULL:
                return self._meet(name, hash, place, kind)
            if place.hash == hash and _is_same(<bytes>place.name, name):
                kind[0] = place.kind
                return <bytes>place.name
        return self._meet(name, hash, NULL, kind)

    cdef bytes _meet(self, Span *name, unsigned long long hash, Place *place, int *kind):
        """Judge a name; remember it where there is place."""
        cdef bytes key = _bytes(name)
        kind[0] = self._judge(key.lower())
        if place != NULL and place.name == NULL:  # still: who judges may have asked for it
            Py_INCREF(key)
            place.name, place.hash, place.kind = <PyObject *>key, hash, kind[0]
        return key


cdef inline bint _is_same(bytes text, Span *span) noexcept:
    return PyBytes_GET_SIZE(text) == span.size and memcmp(PyBytes_AS_STRING(text), span.at, span.size) == 0
