# Steps over JSON values without building anything; included after _json_string.pxi.
#
# What is stepped over is valid to orjson, too. Whatever is not plainly so (bad JSON, deep nesting, a number that may be
# too large) is *unsure*: NULL or -1, and a full parser is asked. So nothing here has to be complete, only right.

from libc.string cimport memchr, memcmp

cdef enum:
    MAX_DEPTH = 128
    MAX_NUMBER_BYTES = 40  # with an exponent of two digits: far from infinity

cdef struct Text:
    Bytes at
    Py_ssize_t size

cdef struct Walk:  # through one object; after _next_key `at` is on the value
    Bytes at
    Bytes end
    Text key
    bint is_first


cdef inline Bytes _blanks(Bytes at, Bytes end) noexcept nogil:
    while at[0] <= 0x20 and at < end and (at[0] == c" " or at[0] == c"\n" or at[0] == c"\r" or at[0] == c"\t"):
        at += 1
    return at


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
        return _string(at + 1, end)
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
    at = _string(at + 1, walk.end)
    if at == NULL:
        return -1
    walk.key.size = at - 1 - walk.key.at
    at = _blanks(at, walk.end)
    if at[0] != c":":
        return -1
    walk.at = _blanks(at + 1, walk.end)
    return 1


cdef inline int _next_name(Walk *walk) noexcept nogil:
    """As _next_key, for a reader of names: one with an escape is unsure."""
    cdef int more = _next_key(walk)
    return -1 if more > 0 and memchr(walk.key.at, c"\\", walk.key.size) != NULL else more


cdef inline bint _is(Text *key, const char *name, Py_ssize_t size) noexcept nogil:
    return key.size == size and memcmp(key.at, name, size) == 0


cdef bint _read_text(Walk *walk, Text *text) noexcept nogil:
    """Take a string without escapes."""
    cdef Bytes start = walk.at + 1
    walk.at = _string(start, walk.end)
    if walk.at == NULL:
        return False
    text.at = start
    text.size = walk.at - 1 - start
    return memchr(start, c"\\", text.size) == NULL


cdef bint _read_whole(Walk *walk, long long *number, int max_digits) noexcept nogil:
    """Take a number of digits alone."""
    cdef Bytes start = walk.at
    walk.at = _number(start)
    if walk.at == NULL or walk.at - start > max_digits:
        return False
    number[0] = 0
    while start < walk.at:
        if not c"0" <= start[0] <= c"9":
            return False
        number[0] = number[0] * 10 + (start[0] - c"0")
        start += 1
    return True
