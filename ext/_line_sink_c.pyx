# cython: language_level=3, boundscheck=True, wraparound=False
"""Lines written by a thread of their own, compiled; `_line_sink_py` specifies it.

Who puts and the thread share a ring of bytes and one of records. They do not wait for each other: each counts its own
records up, and who puts has the interpreter's lock, so that there is one at a time.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport calloc
from libc.string cimport memcpy

import errno as _errno
import os

from ._line_sink_py import BLOCK_BYTES, MAX_BYTES, MAX_LINES, MAX_TURNS

include "_line_sink_flag.pxi"

cdef enum:
    MOST_LINES = 10000
    NUM_RECORDS = 10064  # turns have a few more
    RING_BYTES = 1 << 23
    MOST_BYTES = 1 << 18
    LOOK_MS = 50

include "_line_sink_write.pxi"

if (MAX_LINES, MAX_LINES + MAX_TURNS, MAX_BYTES, BLOCK_BYTES) != (MOST_LINES, NUM_RECORDS, RING_BYTES, MOST_BYTES):
    raise ImportError("expected the bounds of _line_sink_py to be those that are compiled: build the extensions again")


@cython.final
cdef class LineSink:
    """Writes lines to one descriptor after the other. As the twin.

    A line that would be split at the end of the ring stands at its start; what is left out there counts as bytes, too.
    """

    cdef Sink *_sink
    cdef size_t _end  # of what was put last
    cdef uint64_t _num_refused

    def __cinit__(self, double gather_s):
        self._sink = <Sink *>calloc(1, sizeof(Sink))  # the system gives a page when it is first used
        if not self._sink:
            raise MemoryError()
        self._sink.fd = -1
        self._sink.gather_ns = <int64_t>(gather_s * 1e9)
        self._sink.num_owners = 2
        if start_thread(_run, self._sink):
            self._sink.num_owners = 1  # the object, which frees it
            raise RuntimeError("can't start new thread")

    def __dealloc__(self):
        if self._sink:
            self._tell_end(0)
            _let_go(self._sink)

    @property
    def num_lost(self):
        """How many lines found no place, or could not be written."""
        return self._num_refused + seen(&self._sink.num_failed)

    def put(self, bytes line not None):
        """Take a line, which ends in a line feed; once the sink is closed: leave it. Cost: one copy."""
        cdef size_t size = PyBytes_GET_SIZE(line)
        if size and not self._sink.is_closing and not self._add(MOST_LINES, PyBytes_AS_STRING(line), size, -1):
            self._num_refused += 1

    def turn_to(self, int fd):
        """Write what comes from now on to `fd`, which is the sink's own from here on. As the twin."""
        os.fstat(fd)  # raises where it is none
        if self._sink.is_closing:
            os.close(fd)
        elif not self._add(NUM_RECORDS, b"", 1, fd):
            os.close(fd)
            raise OSError(_errno.ENOBUFS, "expected room for another file, got too many lines that wait to be written")

    def close(self, double limit_s):
        """Write what was taken, for so long at most. As the twin."""
        cdef int64_t left_ns, end_ns = now_ns() + <int64_t>(limit_s * 1e9)
        cdef Sink *sink = self._sink
        self._tell_end(end_ns)
        with nogil:
            left_ns = end_ns - now_ns()
            while left_ns > 0 and not is_up(&sink.is_done):
                wait_for(&sink.is_done, left_ns)
                left_ns = end_ns - now_ns()

    cdef void _tell_end(self, int64_t end_ns) noexcept:
        if not self._sink.is_closing:
            self._sink.end_ns = end_ns
            raise_flag(&self._sink.is_closing)
            raise_flag(&self._sink.is_told)

    cdef bint _add(self, uint64_t most, const char *data, size_t size, int fd) noexcept:
        """Copy what has a place, and wake the thread."""
        cdef Sink *sink = self._sink
        cdef uint64_t number = sink.num_put, num_taken = seen(&sink.num_taken)
        cdef Record *record = _record(sink, number)
        cdef size_t at = 0
        if number - num_taken >= most or size > RING_BYTES:
            return False
        if number != num_taken and not self._find_place(_record(sink, num_taken).at, size, &at):
            return False
        memcpy(sink.ring + at, data, size)
        record.at = at
        record.size = size
        record.fd = fd
        self._end = at + size
        show(&sink.num_put, number + 1)
        raise_flag(&sink.is_told)
        return True

    cdef inline bint _find_place(self, size_t first, size_t size, size_t *at) noexcept:
        """Find room behind what was put last, where the oldest begins at `first`."""
        if self._end > first and size <= RING_BYTES - self._end:
            at[0] = self._end
            return True
        at[0] = 0 if self._end > first else self._end
        return at[0] + size <= first
