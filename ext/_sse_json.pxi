# Steps over JSON text without building anything; included by _sse_c.pyx.
#
# What is stepped over here is valid to orjson, too. Whatever is not plainly so (bad JSON, an escape in a name, deep
# nesting, a number that may be too large) is *unsure*: NULL or -1, and orjson is asked. So nothing here has to be
# complete, only right.
#
# At `end` stands a byte that is no part of the text: the line's end, or the NUL after a bytes object. No step goes
# past it, since none takes a control character but `_blanks`, which asks for the end.

from libc.string cimport memchr, memcmp

ctypedef const unsigned char *Bytes

cdef enum:
    MAX_DEPTH = 32
    MAX_NUMBER_BYTES = 40  # with an exponent of two digits: far from infinity

cdef struct Text:
    Bytes at
    Py_ssize_t size

cdef struct Walk:  # through one object; after _next_key `at` is on the value
    Bytes at
    Bytes end
    Text key
    bint is_first

cdef unsigned char[256] _IS_PLAIN  # by byte: stands for itself inside a string
for _code in range(256):
    _IS_PLAIN[_code] = 0x20 <= _code < 0x80 and chr(_code) not in '"\\'


cdef inline Bytes _blanks(Bytes at, Bytes end) noexcept nogil:
    while at[0] <= 0x20 and at < end and (at[0] == c" " or at[0] == c"\n" or at[0] == c"\r" or at[0] == c"\t"):
        at += 1
    return at


cdef inline bint _is_more(unsigned char byte) noexcept nogil:
    return byte & 0xC0 == 0x80


cdef Bytes _wide(Bytes at) noexcept nogil:
    """Step over one character of two to four bytes (RFC 3629 §4)."""
    cdef unsigned char lead = at[0], second
    if lead < 0xC2 or lead > 0xF4:
        return NULL
    second = at[1]
    if not _is_more(second):
        return NULL
    if lead < 0xE0:
        return at + 2
    if (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second > 0x9F) or not _is_more(at[2]):
        return NULL
    if lead < 0xF0:
        return at + 3
    if (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second > 0x8F) or not _is_more(at[3]):
        return NULL
    return at + 4


cdef int _hex(Bytes at) noexcept nogil:
    """Return the number of four hex digits, or -1."""
    cdef int number = 0, place
    cdef unsigned char byte
    for place in range(4):
        byte = at[place]
        if c"0" <= byte <= c"9":
            number = number * 16 + byte - c"0"
        elif c"a" <= byte | 0x20 <= c"f":
            number = number * 16 + (byte | 0x20) - c"a" + 10
        else:
            return -1
    return number


cdef Bytes _escape(Bytes at) noexcept nogil:
    """Step over what stands after a backslash. Half of a surrogate pair is no character."""
    cdef int number
    if at[0] != c"u":
        return at + 1 if memchr(b'"\\/bfnrt', at[0], 8) != NULL else NULL
    number = _hex(at + 1)
    if number < 0 or 0xDC00 <= number <= 0xDFFF:
        return NULL
    if number < 0xD800 or number > 0xDFFF:
        return at + 5
    if at[5] != c"\\" or at[6] != c"u" or not 0xDC00 <= _hex(at + 7) <= 0xDFFF:
        return NULL
    return at + 11


cdef inline Bytes _string(Bytes at) noexcept nogil:
    """Step from behind the opening quote to behind the closing one."""
    while True:
        while _IS_PLAIN[at[0]]:
            at += 1
        if at[0] == c'"':
            return at + 1
        if at[0] == c"\\":
            at = _escape(at + 1)
        elif at[0] >= 0x80:
            at = _wide(at)
        else:
            return NULL
        if at == NULL:
            return NULL


cdef inline Bytes _digits(Bytes at) noexcept nogil:
    """Step over digits, at least one."""
    cdef Bytes start = at
    while c"0" <= at[0] <= c"9":
        at += 1
    if at == start:
        return NULL
    return at


cdef Bytes _number(Bytes at) noexcept nogil:
    cdef Bytes start = at, exponent
    if at[0] == c"-":
        at += 1
    at = at + 1 if at[0] == c"0" else _digits(at)
    if at != NULL and at[0] == c".":
        at = _digits(at + 1)
    if at != NULL and at[0] | 0x20 == c"e":
        exponent = at + 2 if at[1] == c"+" or at[1] == c"-" else at + 1
        at = _digits(exponent)
        if at != NULL and at - exponent > 2:
            return NULL
    if at == NULL or at - start > MAX_NUMBER_BYTES:
        return NULL
    return at


cdef inline bint _is_null(Bytes at, Bytes end) noexcept nogil:
    return end - at >= 4 and memcmp(at, b"null", 4) == 0


cdef Bytes _skip(Bytes at, Bytes end, int depth) noexcept nogil:
    """Step over any value that has at most `depth` containers in each other."""
    cdef Walk walk
    cdef int more
    if at[0] == c'"':
        return _string(at + 1)
    if at[0] == c"n" or at[0] == c"t":
        return at + 4 if _is_null(at, end) or (end - at >= 4 and memcmp(at, b"true", 4) == 0) else NULL
    if at[0] == c"f":
        return at + 5 if end - at >= 5 and memcmp(at, b"false", 5) == 0 else NULL
    if at[0] == c"[":
        return _skip_list(at, end, depth)
    if at[0] != c"{":
        return _number(at)
    if depth == 0:
        return NULL
    _enter(&walk, at, end)
    more = _next_key(&walk)
    while more > 0:
        walk.at = _skip(walk.at, end, depth - 1)
        if walk.at == NULL:
            return NULL
        more = _next_key(&walk)
    return walk.at if more == 0 else NULL


cdef Bytes _skip_list(Bytes at, Bytes end, int depth) noexcept nogil:
    if depth == 0:
        return NULL
    at = _blanks(at + 1, end)
    if at[0] == c"]":
        return at + 1
    while True:
        at = _skip(at, end, depth - 1)
        if at == NULL:
            return NULL
        at = _blanks(at, end)
        if at[0] == c"]":
            return at + 1
        if at[0] != c",":
            return NULL
        at = _blanks(at + 1, end)


cdef inline void _enter(Walk *walk, Bytes at, Bytes end) noexcept nogil:
    """Begin with the object whose brace is at `at`."""
    walk.at = at + 1
    walk.end = end
    walk.is_first = True


cdef inline int _next_key(Walk *walk) noexcept nogil:
    """Go on from behind a value to the next member. Returns 1, or 0 and `at` behind the object, or -1."""
    cdef Bytes at = _blanks(walk.at, walk.end)
    if at[0] == c"}":
        walk.at = at + 1
        return 0
    if walk.is_first:
        walk.is_first = False
    elif at[0] == c",":
        at = _blanks(at + 1, walk.end)
    else:
        return -1
    if at[0] != c'"':
        return -1
    walk.key.at = at + 1
    at = _string(at + 1)
    if at == NULL:
        return -1
    walk.key.size = at - 1 - walk.key.at
    if memchr(walk.key.at, c"\\", walk.key.size) != NULL:
        return -1
    at = _blanks(at, walk.end)
    if at[0] != c":":
        return -1
    walk.at = _blanks(at + 1, walk.end)
    return 1
