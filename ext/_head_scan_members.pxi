# The top level of a request body, read in one pass; included by _head_scan_c.pyx.

cdef enum:
    MOST_MEMBERS = 1000
    MOST_DIGITS = 18

cdef enum Wanted:  # a bit each, to see a name that stands twice
    MODEL = 1
    STREAM = 2
    OPTIONS = 4
    CHOICES = 8
    TOKENS = 16
    COMPLETION_TOKENS = 32
    SEED = 64
    USER = 128
    MESSAGES = 256
    PROMPT = 512
    ODD = 1024

cdef struct Found:
    int told  # bits of what is there and not null
    Text model  # a string without its quotes
    Text user
    Text messages  # JSON text, as `prompt`; null counts, too. `at` is NULL where there is none
    Text prompt
    bint is_stream
    bint is_usage_wanted
    long long n
    long long max_tokens
    long long max_completion_tokens
    long long seed


cdef inline bint _is_like_model(Text *key) noexcept nogil:
    cdef int place
    for place in range(5):
        if key.at[place] | 0x20 != b"model"[place]:
            return False
    return True


cdef int _wanted(Text *key) noexcept nogil:
    cdef Py_ssize_t size = key.size
    if size == 5:
        return MODEL if _is(key, b"model", 5) else ODD if _is_like_model(key) else 0
    if size == 1:
        return CHOICES if key.at[0] == c"n" else 0
    if size == 4:
        return USER if _is(key, b"user", 4) else SEED if _is(key, b"seed", 4) else 0
    if size == 6:
        return STREAM if _is(key, b"stream", 6) else PROMPT if _is(key, b"prompt", 6) else 0
    if size == 8:
        return MESSAGES if _is(key, b"messages", 8) else 0
    if size == 10:
        return TOKENS if _is(key, b"max_tokens", 10) else 0
    if size == 14:
        return OPTIONS if _is(key, b"stream_options", 14) else 0
    return COMPLETION_TOKENS if _is(key, b"max_completion_tokens", 21) else 0


cdef bint _read_integer(Walk *walk, long long *number) noexcept nogil:
    cdef bint is_negative = walk.at[0] == c"-"
    walk.at += is_negative
    if not _read_whole(walk, number, MOST_DIGITS):
        return False
    if is_negative:
        number[0] = -number[0]
    return True


cdef bint _read_truth(Walk *walk, bint *truth) noexcept nogil:
    truth[0] = walk.at[0] == c"t"
    if not truth[0] and walk.at[0] != c"f":
        return False
    walk.at = _skip(walk.at, walk.end, 0)
    return walk.at != NULL


cdef bint _read_options(Walk *outer, bint *is_usage_wanted) noexcept nogil:
    cdef Walk walk
    cdef int more
    cdef bint is_seen = False
    if outer.at[0] != c"{":
        return False
    _enter(&walk, outer.at, outer.end)
    while True:
        more = _next_name(&walk)
        if more <= 0:
            outer.at = walk.at
            return more == 0
        if not _is(&walk.key, b"include_usage", 13):
            walk.at = _skip(walk.at, walk.end, MAX_DEPTH - 2)
            if walk.at == NULL:
                return False
            continue
        if is_seen:
            return False
        is_seen = True
        if _is_null(walk.at, walk.end):
            walk.at += 4
        elif not _read_truth(&walk, is_usage_wanted):
            return False


cdef bint _read_json(Walk *walk, Text *text) noexcept nogil:
    text.at = walk.at
    walk.at = _skip(walk.at, walk.end, MAX_DEPTH - 1)
    text.size = walk.at - text.at
    return walk.at != NULL


cdef bint _read_wanted(Walk *walk, int wanted, Found *found) noexcept nogil:
    """Read the value of a wanted name, which is not null. Returns whether that is sure."""
    if wanted == MODEL or wanted == USER:
        return walk.at[0] == c'"' and _read_text(walk, &found.model if wanted == MODEL else &found.user)
    if wanted == STREAM:
        return _read_truth(walk, &found.is_stream)
    if wanted == OPTIONS:
        return _read_options(walk, &found.is_usage_wanted)
    if wanted == CHOICES:
        return _read_integer(walk, &found.n)
    if wanted == TOKENS:
        return _read_integer(walk, &found.max_tokens)
    if wanted == COMPLETION_TOKENS:
        return _read_integer(walk, &found.max_completion_tokens)
    return _read_integer(walk, &found.seed)


cdef bint _read_body(Bytes at, Bytes end, Found *found) noexcept nogil:
    """Find what the object between `at` and `end` tells. Returns whether that is sure."""
    cdef Walk walk
    cdef Text other
    cdef int more, wanted, seen = 0, num_members = 0
    memset(found, 0, sizeof(Found))
    at = _blanks(at, end)
    if at[0] != c"{":
        return False
    _enter(&walk, at, end)
    while True:
        more = _next_name(&walk)
        if more <= 0:
            return more == 0 and _blanks(walk.at, end) == end
        wanted = _wanted(&walk.key)
        num_members += 1
        if seen & wanted or wanted == ODD or num_members > MOST_MEMBERS:
            return False
        seen |= wanted
        if wanted == 0 or wanted == MESSAGES or wanted == PROMPT:
            if not _read_json(
                &walk, &found.messages if wanted == MESSAGES else &found.prompt if wanted == PROMPT else &other
            ):
                return False
        elif wanted != MODEL and _is_null(walk.at, end):
            walk.at += 4
        elif not _read_wanted(&walk, wanted, found):
            return False
        else:
            found.told |= wanted
