# cython: language_level=3, boundscheck=True, wraparound=False
"""HTTP/1.1 on the wire, compiled; `_http1_py` specifies it, and decides wherever the core here is unsure."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_CheckExact
from cpython.object cimport PyObject_GenericSetAttr, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeASCII

from ._http1_body_py import ChunkScanner as ChunkTwin
from ._http1_buffer_py import HeadBuffer as BufferTwin
from ._http1_facts import RequestHead, ResponseHead, WrittenHead
from ._http1_head_py import parse_request_head as request_twin
from ._http1_head_py import parse_response_head as response_twin
from ._http1_lines_py import list_members
from ._http1_writer_py import write_request_head as write_twin

include "_http1_scan.pxi"
include "_http1_head.pxi"
include "_http1_write.pxi"
include "_http1_chunks.pxi"

cdef extern from "Python.h":
    object PyType_GenericAlloc(PyTypeObject *type, Py_ssize_t nitems)  # Cython's own declaration takes any object

cdef object _REQUEST_HEAD = RequestHead, _RESPONSE_HEAD = ResponseHead, _NEW_TUPLE = tuple.__new__
cdef tuple _VERSIONS = ((1, 0), (1, 1))
cdef bytes _EMPTY = b""


@cython.final
cdef class _LimitsCache:
    """Limits that were asked for last. They never change."""

    cdef object asked
    cdef Limits limits

    cdef Limits *of(self, limits) except NULL:
        if limits is not self.asked:
            self.asked = None
            self.limits.line_bytes = limits.max_line_bytes
            self.limits.head_bytes = limits.max_head_bytes
            self.limits.num_fields = limits.max_fields
            self.asked = limits
        return &self.limits


cdef _LimitsCache _REQUEST_LIMITS = _LimitsCache(), _RESPONSE_LIMITS = _LimitsCache()


def parse_request_head(bytes raw not None, limits not None):
    """Read a whole request head. As the twin."""
    cdef Head head
    if not _read_request(<Octets>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), _REQUEST_LIMITS.of(limits), &head):
        return request_twin(raw, limits)
    # A frozen dataclass sets its slots through object.__setattr__, which costs as much as to read the head.
    found = PyType_GenericAlloc(<PyTypeObject *>_REQUEST_HEAD, 0)
    PyObject_GenericSetAttr(found, "method", _bytes(&head.method))
    PyObject_GenericSetAttr(found, "target", _bytes(&head.target))
    PyObject_GenericSetAttr(found, "version", _VERSIONS[head.minor])
    PyObject_GenericSetAttr(found, "fields", _fields(&head))
    PyObject_GenericSetAttr(found, "content_length", _length(&head))
    PyObject_GenericSetAttr(found, "is_chunked", head.is_chunked)
    PyObject_GenericSetAttr(found, "is_keep_alive", _is_kept(&head))
    PyObject_GenericSetAttr(found, "expects_continue", head.expects_continue)
    PyObject_GenericSetAttr(found, "host", PyUnicode_DecodeASCII(<const char *>head.host.at, head.host.size, NULL))
    return found


def parse_response_head(bytes raw not None, limits not None, *, bytes request_method not None):
    """Read a whole response head. As the twin."""
    cdef Head head
    if not _read_response(<Octets>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), _RESPONSE_LIMITS.of(limits), &head):
        return response_twin(raw, limits, request_method=request_method)
    found = PyType_GenericAlloc(<PyTypeObject *>_RESPONSE_HEAD, 0)
    PyObject_GenericSetAttr(found, "status", head.status)
    PyObject_GenericSetAttr(found, "reason", _bytes(&head.reason))
    PyObject_GenericSetAttr(found, "version", _VERSIONS[head.minor])
    PyObject_GenericSetAttr(found, "fields", _fields(&head))
    PyObject_GenericSetAttr(found, "framing", _framing(&head, request_method == b"HEAD"))
    PyObject_GenericSetAttr(found, "content_length", _length(&head))
    PyObject_GenericSetAttr(found, "is_keep_alive", head.minor == 1 and _is_kept(&head))
    return found


def write_request_head(bytes method not None, bytes target not None, fields not None):
    """Write a request head. As the twin."""
    cdef Head head
    cdef bytes data
    cdef Py_ssize_t size
    # Of these two nobody else can make the iteration, so that what the spans lie over stays.
    if not (PyList_CheckExact(fields) or PyTuple_CheckExact(fields)) or not _spans_of(method, target, fields, &head):
        return write_twin(method, target, fields)
    size = _check_request(&head)
    if size < 0:
        return write_twin(method, target, fields)
    data = PyBytes_FromStringAndSize(NULL, size)
    _put_request(<unsigned char *>PyBytes_AS_STRING(data), &head)
    length = None if head.is_chunked else max(0, head.content_length)
    upgrades = list_members([value for name, value in fields if name.lower() == b"upgrade"]) if head.has_upgrade else []
    return _NEW_TUPLE(WrittenHead, (data, length, not head.has_close, upgrades))


cdef inline bytes _bytes(Span *span):
    return PyBytes_FromStringAndSize(<const char *>span.at, span.size)


cdef inline void _set_span(Span *span, bytes data) noexcept:
    span.at = <Octets>PyBytes_AS_STRING(data)
    span.size = PyBytes_GET_SIZE(data)


cdef tuple _fields(Head *head):
    cdef tuple fields = PyTuple_New(head.num_fields), pair
    cdef int place
    for place in range(head.num_fields):
        pair = (_bytes(&head.fields[place].name), _bytes(&head.fields[place].value))
        Py_INCREF(pair)
        PyTuple_SET_ITEM(fields, place, pair)
    return fields


cdef inline object _length(Head *head):
    return None if head.content_length < 0 else head.content_length


cdef str _framing(Head *head, bint is_to_head):
    if is_to_head or head.status < 200 or head.status == 204 or head.status == 304:
        return "none"
    if head.is_chunked:
        return "chunked"
    return "close" if head.content_length < 0 else "length"


cdef bint _spans_of(bytes method, bytes target, fields, Head *head) except -1:
    """Lay a head over the bytes that it is to be written from. Returns whether they are as they should."""
    _clear(head)
    _set_span(&head.method, method)
    _set_span(&head.target, target)
    for pair in fields:
        if not PyTuple_CheckExact(pair) or PyTuple_GET_SIZE(pair) != 2 or head.num_fields == MAX_SPANS:
            return False
        name, value = <tuple>pair
        if not PyBytes_CheckExact(name) or not PyBytes_CheckExact(value):
            return False
        _set_span(&head.fields[head.num_fields].name, <bytes>name)
        _set_span(&head.fields[head.num_fields].value, <bytes>value)
        head.num_fields += 1
    return True


@cython.final
cdef class HeadBuffer:
    """Collects one head, and refuses it at the first byte that makes it hopeless. As the twin."""

    cdef object _asked
    cdef _LimitsCache _cache
    cdef bint _is_response
    cdef bint _is_skipping
    cdef Py_ssize_t _start  # behind an empty line that is skipped
    cdef Py_ssize_t _seen
    cdef bytearray _data
    cdef readonly bint is_empty
    cdef readonly bytes rest

    def __cinit__(self, limits not None, *, bint is_response=False):
        self._asked = limits
        self._cache = _RESPONSE_LIMITS if is_response else _REQUEST_LIMITS
        self._is_response = is_response
        self._is_skipping = not is_response
        self.is_empty = True
        self.rest = _EMPTY

    def feed(self, data not None):
        """Add bytes; return the head once it is complete, and keep what follows it in `rest`."""
        cdef bytes piece = data if PyBytes_CheckExact(data) else bytes(data)
        if self._data is None:
            end = self._look(<Octets>PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            if end == 0:
                self._data = bytearray(piece)
                return None
        else:
            self._data += piece
            end = self._look(<Octets>PyByteArray_AS_STRING(self._data), PyByteArray_GET_SIZE(self._data))
            if end == 0:
                return None
            piece = bytes(self._data)
        return self._cut(piece, end) if end > 0 else self._ask_twin(piece)

    cdef Py_ssize_t _look(self, Octets text, Py_ssize_t size) except -2:
        """Return as `_find_end` does, for all that came."""
        if self._is_skipping and size >= 2:
            self._is_skipping = False
            self._start = 2 if text[0] == c"\r" and text[1] == c"\n" else 0
        self.is_empty = size == self._start
        if self._is_response and memcmp(text, b"HTTP/1.", min(size, 7)) != 0:
            return -1
        return _find_end(text + self._start, size - self._start, &self._seen, self._cache.of(self._asked))

    cdef bytes _cut(self, bytes whole, Py_ssize_t size):
        cdef Py_ssize_t end = self._start + size
        self.rest = whole[end:]
        return whole[self._start : end]

    cdef object _ask_twin(self, bytes whole):
        twin = BufferTwin(self._asked, is_response=self._is_response)
        head = twin.feed(whole)
        self.rest = twin.rest
        return head


include "_http1_bodies.pxi"
