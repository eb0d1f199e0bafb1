# cython: language_level=3, boundscheck=True, wraparound=False
"""Server-sent events, compiled; `_sse_py` specifies them."""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memset

from ._sse_facts import MAX_CHOICES, MAX_PLAIN_BYTES, EventKind, facts_of
from ._sse_py import error_of, read_event

cdef enum:
    NUM_INDEXES = 128

include "_json_string.pxi"
include "_json_value.pxi"
include "_sse_chunk.pxi"
include "_sse_event.pxi"
include "_http1_scan.pxi"
include "_http1_chunks.pxi"
include "_sse_plain.pxi"

if MAX_CHOICES != NUM_INDEXES:
    raise ImportError(f"expected MAX_CHOICES to be {NUM_INDEXES}, got {MAX_CHOICES}: build the extensions again")

cdef tuple _KINDS = tuple(EventKind)
cdef int _COMMENT = EventKind.COMMENT, _DELTA = EventKind.DELTA, _USAGE = EventKind.USAGE, _OTHER = EventKind.OTHER
cdef int _ERROR = EventKind.ERROR, _DONE = EventKind.DONE, _MALFORMED = EventKind.MALFORMED
cdef int _OVERFLOW = EventKind.OVERFLOW
cdef Py_ssize_t _MARK_BYTES = 3, _PLAIN_BYTES = MAX_PLAIN_BYTES


@cython.final
cdef class EventScanner:
    """Cuts a byte stream into whole events, whatever pieces it comes in. As the twin."""

    cdef bytearray _held
    cdef Py_ssize_t _limit_bytes
    cdef Py_ssize_t _seen_bytes
    cdef Py_ssize_t _line_at
    cdef Py_ssize_t _mark_bytes  # -1: not known
    cdef readonly bint is_inside, is_overflowing

    def __cinit__(self, Py_ssize_t limit_bytes=1 << 20):
        if limit_bytes < _MARK_BYTES:
            raise ValueError(f"expected limit_bytes of at least {_MARK_BYTES}, got {limit_bytes}")
        self._held = bytearray()
        self._limit_bytes = limit_bytes
        self._mark_bytes = -1

    @property
    def held_bytes(self):
        """How much is held of an unfinished event: never more than the limit."""
        return PyByteArray_GET_SIZE(self._held)

    def feed(self, bytes data not None):
        """Return the events that `data` completes. Cost: linear in `data`, however much is held."""
        cdef Py_ssize_t cut
        cdef list events = []
        if PyByteArray_GET_SIZE(self._held):
            self._held += data
            cut = self._cut(PyByteArray_AS_STRING(self._held), PyByteArray_GET_SIZE(self._held), None, False, events)
            del self._held[:cut]
        else:
            cut = self._cut(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), data, False, events)
            if cut < PyBytes_GET_SIZE(data):
                self._held += data[cut:]
        return events

    def finish(self):
        """The stream has ended: return the event, if any, whose blank line is a CR that no LF will follow."""
        cdef list events = []
        cut = self._cut(PyByteArray_AS_STRING(self._held), PyByteArray_GET_SIZE(self._held), None, True, events)
        del self._held[:cut]
        return events

    def rest(self):
        """Take what is held of an unfinished event. What is fed after that is read as a new event."""
        held = bytes(self._held)
        self._held.clear()
        self._seen_bytes = self._line_at = self._mark_bytes = 0
        self.is_inside = False
        return held

    cdef bint _find_mark(self, const char *text, Py_ssize_t size) noexcept:
        cdef bint is_like = memcmp(text, b"\xef\xbb\xbf", min(size, _MARK_BYTES)) == 0
        if is_like and size < _MARK_BYTES:
            return False
        self._line_at = self._mark_bytes = _MARK_BYTES if is_like else 0
        return True

    cdef Py_ssize_t _cut(self, const char *text, Py_ssize_t size, bytes whole, bint is_last, list events) except -1:
        """Append the events of `text` (which is `whole`, if that is given) and return how much of it they take."""
        cdef Py_ssize_t start = 0, end, at, lf, cr
        if self._mark_bytes < 0 and not self._find_mark(text, size):
            return 0
        lf = _find(text, self._seen_bytes, size, c"\n")
        cr = _find(text, self._seen_bytes, size, c"\r")
        while True:
            at = min(lf, cr)
            if at == size or (at == cr and cr + 1 == size and not is_last):
                break
            end = at + (2 if lf == cr + 1 and lf < size else 1)
            if at == self._line_at:
                start = self._cut_parts(text, start, end, events)
                events.append(self._event(_piece(text, start, end, size, whole)))
                start = end
            self._line_at = end
            if lf < end:
                lf = _find(text, end, size, c"\n")
            if cr < end:
                cr = _find(text, end, size, c"\r")
        start = self._cut_parts(text, start, size, events)
        self._seen_bytes = at - start
        self._line_at -= start
        return start

    cdef Py_ssize_t _cut_parts(self, const char *text, Py_ssize_t start, Py_ssize_t end, list events) except -1:
        while end - start > self._limit_bytes:
            events.append(Event(PyBytes_FromStringAndSize(text + start, self._limit_bytes), is_overflow=True))
            start += self._limit_bytes
            self.is_overflowing = self.is_inside = True
        return start

    cdef Event _event(self, bytes raw):
        cdef bint is_overflow = self.is_inside
        cdef Py_ssize_t mark_bytes = self._mark_bytes
        self.is_inside = False
        self._mark_bytes = 0
        return Event(raw, is_overflow=True) if is_overflow else _read_event(raw, mark_bytes)


cdef inline bytes _piece(const char *text, Py_ssize_t start, Py_ssize_t end, Py_ssize_t size, bytes whole):
    if whole is not None and start == 0 and end == size:
        return whole
    return PyBytes_FromStringAndSize(text + start, end - start)


@cython.final
cdef class StreamState:
    """What the events of one answer have told so far. As the twin."""

    cdef int _num_choices
    cdef int _num_seen
    cdef unsigned char[NUM_INDEXES] _is_seen  # by index
    cdef dict _reasons
    cdef readonly bint is_done
    cdef readonly bint has_content
    cdef readonly Py_ssize_t num_events
    cdef readonly object prompt_tokens
    cdef readonly object completion_tokens
    cdef readonly str model
    cdef readonly bytes last_id

    def __cinit__(self, int num_choices=1):
        if not 1 <= num_choices <= NUM_INDEXES:
            raise ValueError(f"expected num_choices from 1 to {NUM_INDEXES}, got {num_choices}")
        self._num_choices = num_choices
        self._reasons = {}

    @property
    def is_finished(self):
        """Whether as many choices as were asked for have come, and every one that came has a finish_reason."""
        return self._num_seen >= self._num_choices and len(self._reasons) == self._num_seen

    def finish_reasons(self):
        """Return the finish_reason of each choice that has one, in order of index. The last told stands."""
        return dict(sorted(self._reasons.items()))

    def see(self, Event event not None):
        """Take in the next event, and say what it is. Cost: linear in the event."""
        cdef int kind = self._kind(event)
        if event.id is not None and kind != _ERROR and kind != _MALFORMED and kind != _OVERFLOW:
            self.last_id = event.id
        return _KINDS[kind]

    def see_plain(self, bytes data not None):
        """Take in chunks of events that tell nothing new; None, and nothing has happened, for others. As the twin."""
        cdef Py_ssize_t num = 0, size = PyBytes_GET_SIZE(data)
        if self.is_done or size > _PLAIN_BYTES:
            return None
        size = _see_chunks(self, <Bytes>PyBytes_AS_STRING(data), size, &num)
        if size <= 0:
            return None
        self.num_events += num
        return num, size

    cdef int _kind(self, Event event) except -1:
        cdef Found found
        cdef Bytes at
        cdef Py_ssize_t size = 0
        if event.is_overflow:
            return _OVERFLOW
        if self.is_done and _has_data(event):
            return _MALFORMED
        if PyBytes_GET_SIZE(event.name) == 5 and memcmp(PyBytes_AS_STRING(event.name), b"error", 5) == 0:
            return _ERROR
        if not _has_data(event):
            return _COMMENT
        at = _data_of(event, &size)
        if size == 6 and memcmp(at, b"[DONE]", 6) == 0:
            self.is_done = True
            return _DONE
        return self._fold(&found) if _read_chunk(at, at + size, &found) else self._fold_facts(facts_of(event.data))

    cdef int _fold(self, Found *found) except -1:
        cdef int place
        cdef Text reason
        for place in range(found.num_choices):
            reason = found.reason[place]
            self._see_choice(found.index[place], _str(&reason) if reason.size else None)
        self.has_content |= found.has_content
        if found.prompt_tokens >= 0:
            self.prompt_tokens = found.prompt_tokens
        if found.completion_tokens >= 0:
            self.completion_tokens = found.completion_tokens
        if self.model is None and found.model.size:
            self.model = _str(&found.model)
        if found.num_choices:
            self.num_events += 1
            return _DELTA
        return _USAGE if found.has_choices and found.has_usage else _OTHER

    cdef int _fold_facts(self, facts) except -1:
        for index, reason, _ in facts.choices:
            self._see_choice(index, reason)
        self.is_done |= <bint>(facts.kind == _DONE)
        self.has_content |= <bint>facts.has_content
        self.num_events += facts.kind == _DELTA
        self.model = facts.model if self.model is None else self.model
        if facts.prompt_tokens is not None:
            self.prompt_tokens = facts.prompt_tokens
        if facts.completion_tokens is not None:
            self.completion_tokens = facts.completion_tokens
        return facts.kind

    cdef int _see_choice(self, int index, str reason) except -1:
        self._num_seen += not self._is_seen[index]
        self._is_seen[index] = True
        if reason is not None:
            self._reasons[index] = reason
        return 0


cdef inline str _str(Text *text):
    return PyUnicode_DecodeUTF8(<const char *>text.at, text.size, NULL)
