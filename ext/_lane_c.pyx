# cython: language_level=3, boundscheck=True, wraparound=False
"""The plain shapes of HTTP/1.1 between client and target, without a task; the reference path specifies them.

What is taken here is taken alike there, and all else is left to it: `None` says so. Source: RFC 9110, RFC 9112.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.errno cimport EAGAIN, errno
from libc.math cimport INFINITY
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import os

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_PEEK
        MSG_DONTWAIT
    ssize_t recv(int descriptor, void *to, size_t size, int flags)

cdef extern from "Python.h":
    enum:
        PyUnicode_1BYTE_KIND
    bint PyUnicode_CheckExact(object text)
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    bint _is_bytes "PyBytes_CheckExact"(PyObject *data)
    object PyType_GenericAlloc(PyTypeObject *kind, Py_ssize_t num_items)
    int PyObject_GenericSetAttr(object thing, str name, object value) except -1

include "_http1_scan.pxi"
include "_http1_head.pxi"
include "_http1_write.pxi"
include "_lane_ids.pxi"
include "_lane_text.pxi"
include "_lane_kinds.pxi"
include "_lane_message.pxi"
include "_lane_request.pxi"
include "_lane_answer.pxi"
include "_lane_connection.pxi"
include "_lane_client.pxi"
