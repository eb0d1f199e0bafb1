# cython: language_level=3, boundscheck=True, wraparound=False
"""The plain shapes of HTTP/1.1 between client and target, without a task; the reference path specifies them.

What is taken here is taken alike there, and all else is left to it: `None` says so. Source: RFC 9110, RFC 9112.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdio cimport snprintf
from libc.errno cimport EAGAIN, errno
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import os

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_PEEK
        MSG_DONTWAIT
    ssize_t recv(int descriptor, void *to, size_t size, int flags)

include "_http1_scan.pxi"
include "_http1_head.pxi"
include "_http1_write.pxi"
include "_lane_ids.pxi"
include "_lane_message.pxi"
include "_lane_request.pxi"
include "_lane_answer.pxi"
include "_lane_connection.pxi"
include "_lane_client.pxi"


cdef inline bytes _bytes(Span *span):
    return PyBytes_FromStringAndSize(<const char *>span.at, span.size)


cdef inline str _text(Span *span):
    return PyUnicode_DecodeLatin1(<const char *>span.at, span.size, NULL)
