# Events and their fields; included by _sse_c.pyx.

cdef bytes _EMPTY = b""


@cython.final
@cython.freelist(64)
cdef class Event:
    """One event as it came, as the twin's. A single data line is cut out of `raw` only when it is asked for."""

    cdef readonly bytes raw
    cdef readonly bytes name
    cdef readonly bytes id
    cdef readonly bint is_overflow
    cdef bytes _data
    cdef Py_ssize_t _data_at  # in raw; -1: the data is _data, if there is any
    cdef Py_ssize_t _data_bytes

    def __cinit__(self):
        self.raw = self.name = _EMPTY
        self._data_at = -1

    def __init__(self, bytes raw not None, bytes data=None, bytes name not None=b"", bytes id=None, is_overflow=False):
        self.raw = raw
        self.name = name
        self.id = id
        self.is_overflow = is_overflow
        self._data = data
        self._data_at = -1

    @property
    def data(self):
        """The data lines joined by LF, None where there is none."""
        if self._data is None and self._data_at >= 0:
            self._data = self.raw[self._data_at : self._data_at + self._data_bytes]
        return self._data

    def __eq__(self, other):
        return self._fields() == (<Event>other)._fields() if isinstance(other, Event) else NotImplemented

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return "Event(raw={!r}, data={!r}, name={!r}, id={!r}, is_overflow={!r})".format(*self._fields())

    cdef tuple _fields(self):
        return self.raw, self.data, self.name, self.id, self.is_overflow


cdef inline bint _has_data(Event event) noexcept:
    return event._data_at >= 0 or event._data is not None


cdef inline Bytes _data_of(Event event, Py_ssize_t *size):
    """Return where the data of an event that has some begins; behind it stands no part of it (see _json_string.pxi)."""
    if event._data_at >= 0:
        size[0] = event._data_bytes
        return <Bytes>PyBytes_AS_STRING(event.raw) + event._data_at
    size[0] = PyBytes_GET_SIZE(event._data)
    return <Bytes>PyBytes_AS_STRING(event._data)


cdef inline Py_ssize_t _find(const char *text, Py_ssize_t at, Py_ssize_t size, int byte) noexcept:
    """Return where `byte` comes first from `at` on, or `size`."""
    cdef const char *found = <const char *>memchr(text + at, byte, size - at) if at < size else NULL
    return size if found == NULL else found - text


cdef Event _read_event(bytes raw, Py_ssize_t mark_bytes):
    """Read the fields of a whole event."""
    cdef Event event = Event.__new__(Event)
    cdef const char *text = PyBytes_AS_STRING(raw)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw), at = mark_bytes, end
    cdef Py_ssize_t lf = _find(text, at, size, c"\n"), cr = _find(text, at, size, c"\r")
    event.raw = raw
    while at < size:
        end = min(lf, cr)
        if end > at and not _read_line(event, text, at, end):
            twin = read_event(raw, mark_bytes)
            return Event(raw, twin.data, twin.name, twin.id)
        at = end + 1
        if lf < at:
            lf = _find(text, at, size, c"\n")
        if cr < at:
            cr = _find(text, at, size, c"\r")
    return event


cdef bint _read_line(Event event, const char *text, Py_ssize_t at, Py_ssize_t end) except -1:
    """Read one field. Returns False for a second line of data."""
    cdef Py_ssize_t colon, value
    if text[at] != c"d" and text[at] != c"e" and text[at] != c"i":
        return True
    colon = _find(text, at, end, c":")
    value = min(colon + 1, end)
    if value < end and text[value] == c" ":
        value += 1
    if colon - at == 4 and memcmp(text + at, b"data", 4) == 0:
        if event._data_at >= 0:
            return False
        event._data_at = value
        event._data_bytes = end - value
    elif colon - at == 5 and memcmp(text + at, b"event", 5) == 0:
        event.name = PyBytes_FromStringAndSize(text + value, end - value)
    elif colon - at == 2 and memcmp(text + at, b"id", 2) == 0 and _find(text, value, end, 0) == end:
        event.id = PyBytes_FromStringAndSize(text + value, end - value)
    return True
