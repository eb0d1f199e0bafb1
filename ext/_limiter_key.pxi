# Keys as bytes, and their hash. `_limiter_key` specifies both.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.string cimport memcpy

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void *PyUnicode_DATA(object text)

cdef enum:
    NAME_BYTES = 512  # of a name that is written on the stack; longer ones take the twin's way


cdef Py_ssize_t write_name(tuple key, char *out) except -2:
    """Write a key as `encode_key` does, into NAME_BYTES bytes. Return the length; -1: it has to be asked."""
    cdef Py_ssize_t at = 0, size
    cdef int64_t number
    cdef int is_large = 0
    cdef const char *data
    for part in key:
        if at + 9 > NAME_BYTES:
            return -1
        if type(part) is str and PyUnicode_IS_ASCII(part):
            out[at] = c"s"
            data = <const char *>PyUnicode_DATA(part)
            size = PyUnicode_GET_LENGTH(part)
        elif type(part) is bytes:
            out[at] = c"b"
            data = PyBytes_AS_STRING(part)
            size = PyBytes_GET_SIZE(part)
        elif part is None:
            out[at] = c"n"
            at += 1
            continue
        elif type(part) is int:
            number = PyLong_AsLongLongAndOverflow(part, &is_large)
            if is_large:
                return -1
            out[at] = c"i"
            memcpy(out + at + 1, &number, 8)
            at += 9
            continue
        else:
            return -1
        memcpy(out + at + 1, &size, 8)
        at += 9
        if size > NAME_BYTES - at:
            return -1
        memcpy(out + at, data, size)
        at += size
    return at


cdef inline uint64_t rotated(uint64_t word, int num_bits) noexcept nogil:
    return word << num_bits | word >> (64 - num_bits)


cdef inline void sip_round(uint64_t *v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = rotated(v[1], 13) ^ v[0]
    v[3] = rotated(v[3], 16) ^ v[2]
    v[0] = rotated(v[0], 32) + v[3]
    v[2] += v[1]
    v[1] = rotated(v[1], 17) ^ v[2]
    v[3] = rotated(v[3], 21) ^ v[0]
    v[2] = rotated(v[2], 32)


cdef void siphash(const uint64_t *secret, const char *data, Py_ssize_t size, uint64_t *halves) noexcept nogil:
    """SipHash-2-4 with 128 bits."""
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef Py_ssize_t at
    cdef int i
    v[0] = secret[0] ^ 0x736F6D6570736575ULL
    v[1] = secret[1] ^ 0x646F72616E646F6DULL ^ 0xEE
    v[2] = secret[0] ^ 0x6C7967656E657261ULL
    v[3] = secret[1] ^ 0x7465646279746573ULL
    for at in range(0, size - 7, 8):
        memcpy(&word, data + at, 8)
        v[3] ^= word
        sip_round(v)
        sip_round(v)
        v[0] ^= word
    word = 0
    memcpy(&word, data + (size & ~7), size & 7)
    word |= <uint64_t>size << 56
    v[3] ^= word
    sip_round(v)
    sip_round(v)
    v[0] ^= word
    v[2] ^= 0xEE
    for i in range(4):
        sip_round(v)
    halves[0] = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    for i in range(4):
        sip_round(v)
    halves[1] = v[0] ^ v[1] ^ v[2] ^ v[3]
