# cython: language_level=3, boundscheck=True, wraparound=False
"""Lines of JSON with the same members, compiled; `_json_line_py` specifies them."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_CheckExact
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_GET_LENGTH
from libc.math cimport rint
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

import orjson

from ._json_line_py import LineFormat as _Twin

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const void *PyUnicode_DATA(object text)

include "_json_line_text.pxi"

cdef enum:
    FIRST_BYTES = 1 << 12
    KEPT_BYTES = 1 << 16  # what is kept between two lines
    SMALL_BYTES = 64  # what is written at once takes less, but for texts

cdef extern from *:
    """
    #define HEADGATE_MAX_MICROSECONDS 1e15
    """
    const double MAX_MICROSECONDS "HEADGATE_MAX_MICROSECONDS"

cdef struct Head:  # what stands before a value
    Py_ssize_t start
    Py_ssize_t size
    bint is_span


@cython.final
cdef class LineFormat:
    """How each object of a log is written. As the twin."""

    cdef object _twin  # writes the lines with what is rare
    cdef bytes _text  # of all heads, each with BLOCK_BYTES behind it
    cdef Head *_heads
    cdef Py_ssize_t _num
    cdef Py_ssize_t _max_text
    cdef unsigned char *_line
    cdef Py_ssize_t _size
    cdef Py_ssize_t _room

    def __cinit__(self, names, spans=(), Py_ssize_t max_text=2048):
        cdef list heads = [(b"," if at else b"{") + orjson.dumps(name) + b":" for at, name in enumerate(names)]
        cdef Py_ssize_t at, start = 0
        self._twin = _Twin(names, spans, max_text)
        self._text = b"".join([head + bytes(BLOCK_BYTES) for head in heads])
        self._max_text = max_text
        self._num = len(heads)
        self._heads = <Head *>PyMem_Calloc(len(heads) + 1, sizeof(Head))
        self._line = <unsigned char *>PyMem_Malloc(FIRST_BYTES)
        if not self._heads or not self._line:
            raise MemoryError()
        self._room = FIRST_BYTES
        for at, name in enumerate(names):
            self._heads[at] = Head(start, len(heads[at]), name in spans)
            start += len(heads[at]) + BLOCK_BYTES

    def __dealloc__(self):
        PyMem_Free(self._heads)
        PyMem_Free(self._line)

    def line(self, tuple values not None):
        """Return the object whose first members have these values, and a line feed. As the twin."""
        cdef Py_ssize_t at, num = PyTuple_GET_SIZE(values)
        cdef Head *head
        if num == 0 or num > self._num:
            return self._twin.line(values)
        self._size = 0
        for at in range(num):
            head = &self._heads[at]
            self._reserve(head.size + SMALL_BYTES)
            copy_blocks(self._line + self._size, <Bytes>PyBytes_AS_STRING(self._text) + head.start, head.size)
            self._size += head.size
            if not self._put_value(<object>PyTuple_GET_ITEM(values, at), head.is_span):
                return self._twin.line(values)
        self._reserve(2)
        self._size += write_word(self._line + self._size, "}\n", 2)
        whole = PyBytes_FromStringAndSize(<const char *>self._line, self._size)
        if self._room > KEPT_BYTES:
            self._resize(KEPT_BYTES)
        return whole

    cdef int _resize(self, Py_ssize_t room) except -1:
        cdef unsigned char *line = <unsigned char *>PyMem_Realloc(self._line, room)
        if not line:
            raise MemoryError()
        self._line = line
        self._room = room
        return 0

    cdef inline int _reserve(self, Py_ssize_t num) except -1:
        """Make room for so many bytes more."""
        if num > self._room - self._size:
            self._resize(2 * (self._size + num))
        return 0

    # No code of anybody else runs while a line is written: each of these returns whether it knew what to write.

    cdef inline bint _put_value(self, value, bint is_span) except -1:
        """Write a value; for what is no text there is room already."""
        cdef unsigned char *to = self._line + self._size
        if PyUnicode_CheckExact(value):
            return self._put_text(value)
        if value is None:
            self._size += write_word(to, "null", 4)
        elif is_span:
            return self._put_span(value)
        elif value is True:
            self._size += write_word(to, "true", 4)
        elif value is False:
            self._size += write_word(to, "false", 5)
        elif PyLong_CheckExact(value):
            return self._put_number(value)
        elif PyTuple_CheckExact(value):
            return self._put_tuple(value)
        else:
            return PyDict_CheckExact(value) and self._put_dict(value)
        return True

    cdef inline bint _put_number(self, value) except -1:
        cdef int is_over = 0
        cdef long long number = PyLong_AsLongLongAndOverflow(value, &is_over)
        if is_over or number < 0:
            return False
        self._size += write_digits(self._line + self._size, <uint64_t>number)
        return True

    cdef bint _put_span(self, value) except -1:
        cdef double value_us = PyFloat_AS_DOUBLE(value) * 1e6 if PyFloat_CheckExact(value) else -1.0
        cdef unsigned char *to = self._line + self._size
        cdef uint64_t rounded
        if not 0 <= value_us < MAX_MICROSECONDS:
            return False
        rounded = <uint64_t>rint(value_us)
        to += write_digits(to, rounded // 1000)
        to += write_thousandths(to, rounded % 1000)
        self._size = to - self._line
        return True

    cdef inline bint _put_text(self, str text) except -1:
        cdef Py_ssize_t num = min(PyUnicode_GET_LENGTH(text), self._max_text)
        if PyUnicode_IS_COMPACT_ASCII(text):
            return self._put_quoted(<Bytes>PyUnicode_DATA(text), num)
        encoded = text[:self._max_text].encode("utf-8", "replace")
        return self._put_quoted(<Bytes>PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded))

    cdef inline bint _put_quoted(self, Bytes text, Py_ssize_t num) except -1:
        cdef unsigned char *to
        self._reserve(ESCAPED_BYTES * num + SMALL_BYTES)
        to = self._line + self._size
        to[0] = c'"'
        to += 1 + write_text(to + 1, text, num)
        to[0] = c'"'
        self._size = to + 1 - self._line
        return True

    cdef bint _put_tuple(self, tuple texts) except -1:
        cdef Py_ssize_t at
        self._put_byte(c"[")
        for at in range(PyTuple_GET_SIZE(texts)):
            if at:
                self._put_byte(c",")
            if not PyUnicode_CheckExact(texts[at]):
                return False
            self._put_text(texts[at])
        return self._put_byte(c"]")

    cdef bint _put_dict(self, dict texts) except -1:
        cdef unsigned char before = c"{"
        if not texts:
            self._put_byte(before)
        for name, text in texts.items():
            # Names that are cut, or replaced in part, may be the same then.
            if not PyUnicode_CheckExact(name) or not PyUnicode_CheckExact(text) or not self._is_itself(name):
                return False
            self._put_byte(before)
            self._put_text(name)
            self._put_byte(c":")
            self._put_text(text)
            before = c","
        return self._put_byte(c"}")

    cdef inline bint _is_itself(self, str name) noexcept:
        return PyUnicode_IS_COMPACT_ASCII(name) and PyUnicode_GET_LENGTH(name) <= self._max_text

    cdef inline bint _put_byte(self, unsigned char byte) except -1:
        self._reserve(SMALL_BYTES)
        self._line[self._size] = byte
        self._size += 1
        return True
