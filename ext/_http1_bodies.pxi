# Bodies that arrive in pieces, as Python sees them; included by _http1_c.pyx.

cdef enum:
    MAX_JOINED = 64  # pieces of data that are joined at once


@cython.final
cdef class LengthScanner:
    """Counts one body of `length` bytes that arrives in pieces. As the twin."""

    cdef long long _left

    def __cinit__(self, long long length):
        self._left = length

    @property
    def is_complete(self):
        """Whether the last byte has come."""
        return self._left == 0

    def feed(self, data not None):
        """Take the next bytes; return how many of them belong to this body."""
        return self._take(len(data))

    def decode(self, bytes data not None):
        """Take the next bytes; return those of this body, and how many they are."""
        cdef Py_ssize_t size = self._take(PyBytes_GET_SIZE(data))
        return data[:size], size

    cdef Py_ssize_t _take(self, Py_ssize_t size) noexcept:
        size = <Py_ssize_t>min(<long long>size, self._left)
        self._left -= size
        return size


@cython.final
cdef class ChunkScanner:
    """Finds the end of one chunked body that arrives in pieces, and its data. As the twin."""

    cdef Chunks _chunks
    cdef bytes _line  # a line that has not ended yet: the twin's to take
    cdef Py_ssize_t _extension_bytes

    def __cinit__(self):
        self._line = _EMPTY

    @property
    def is_complete(self):
        """Whether the last chunk and the trailer section have ended."""
        return self._chunks.state == CHUNKS_DONE

    @property
    def is_between_chunks(self):
        """Whether the next byte begins a chunk."""
        return self._chunks.state == SIZE_LINE and PyBytes_GET_SIZE(self._line) == 0

    def feed(self, data not None):
        """Take the next bytes; return how many of them belong to this body: all, until it is complete."""
        cdef Py_buffer view
        cdef Octets at
        cdef Span found
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            at = <Octets>view.buf
            while self._next(data, <Octets>view.buf, &at, view.len, &found):
                pass
            return at - <Octets>view.buf
        finally:
            PyBuffer_Release(&view)

    def decode(self, bytes data not None):
        """Take the next bytes; return the data among them, and how many belong to this body, framing included."""
        cdef Span[MAX_JOINED] found
        cdef int num_found = 0
        cdef list parts = None
        cdef Octets start = <Octets>PyBytes_AS_STRING(data), at = start
        while self._next(data, start, &at, PyBytes_GET_SIZE(data), &found[num_found]):
            num_found += 1
            if num_found == MAX_JOINED:
                parts = [] if parts is None else parts
                parts.append(_joined(found, num_found, data))
                num_found = 0
        body = _joined(found, num_found, data)
        if parts is not None:
            parts.append(body)
            body = b"".join(parts)
        return body, at - start

    def see_plain(self, bytes data not None):
        """Return how many chunks `data` is, and the size of theirs; None where it is anything else. As the twin."""
        cdef Octets at = <Octets>PyBytes_AS_STRING(data), end = at + PyBytes_GET_SIZE(data)
        cdef Py_ssize_t num = 0, size = 0
        cdef Chunks chunks = self._chunks
        cdef ChunkStep step
        cdef Span found
        if at == end or not self.is_between_chunks:
            return None
        while True:
            step = _step(&chunks, &at, end, &found)
            if step == STEP_MORE and chunks.state == SIZE_LINE:
                return num, size
            if step != STEP_DATA or chunks.left:
                return None
            num += 1
            size += found.size

    cdef bint _next(self, data, Octets start, Octets *at, Py_ssize_t size, Span *found) except -1:
        """Go on to the next data. Returns whether there is some."""
        cdef ChunkStep step
        while True:
            if PyBytes_GET_SIZE(self._line) and at[0] < start + size:
                step = STEP_UNSURE
            else:
                step = _step(&self._chunks, at, start + size, found)
            if step != STEP_UNSURE:
                return step == STEP_DATA
            at[0] = start + self._ask_twin(data, at[0] - start)

    cdef Py_ssize_t _ask_twin(self, data, Py_ssize_t position) except -1:
        """Let the twin take a line, or what there is of it. Returns what is taken in all."""
        twin = ChunkTwin()
        twin._state = self._chunks.state
        twin._line = self._line
        twin._extension_bytes = self._extension_bytes
        twin._trailer_bytes = self._chunks.trailer_bytes
        position = twin._take_line(data, position)
        self._chunks.state = twin._state
        self._chunks.left = twin._left
        self._chunks.trailer_bytes = twin._trailer_bytes
        self._extension_bytes = twin._extension_bytes
        self._line = twin._line
        return position


cdef bytes _joined(Span *found, int num_found, bytes data):
    """Return what was found in `data`: itself, where that is all of it."""
    cdef Py_ssize_t size = 0
    cdef int place
    cdef bytes joined
    cdef unsigned char *to
    for place in range(num_found):
        size += found[place].size
    if size == PyBytes_GET_SIZE(data):
        return data
    joined = PyBytes_FromStringAndSize(NULL, size)
    to = <unsigned char *>PyBytes_AS_STRING(joined)
    for place in range(num_found):
        to = _put(to, found[place].at, found[place].size)
    return joined
