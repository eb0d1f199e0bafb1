# The usage that an answer tells, read in one pass; included by _head_scan_c.pyx.

cdef struct Usage:  # -1: not told
    long long prompt_tokens
    long long completion_tokens


cdef bint _read_count(Walk *walk, long long *count) noexcept nogil:
    """Read a value that should be a count. Returns whether what it is is sure."""
    if c"0" <= walk.at[0] <= c"9":
        return _read_whole(walk, count, MOST_DIGITS)
    count[0] = -1
    if walk.at[0] == c"-":  # where it is 0 is left to others
        return False
    walk.at = _skip(walk.at, walk.end, MAX_DEPTH - 2)
    return walk.at != NULL


cdef bint _read_counts(Walk *outer, Usage *usage) noexcept nogil:
    """Read the object `usage`."""
    cdef Walk walk
    cdef int more
    cdef bint is_sure
    _enter(&walk, outer.at, outer.end)
    while True:
        more = _next_name(&walk)
        if more <= 0:
            outer.at = walk.at
            return more == 0
        if _is(&walk.key, b"prompt_tokens", 13):
            is_sure = _read_count(&walk, &usage.prompt_tokens)
        elif _is(&walk.key, b"completion_tokens", 17):
            is_sure = _read_count(&walk, &usage.completion_tokens)
        else:
            walk.at = _skip(walk.at, walk.end, MAX_DEPTH - 2)
            is_sure = walk.at != NULL
        if not is_sure:
            return False


cdef bint _read_answer(Bytes at, Bytes end, Usage *usage) noexcept nogil:
    """Find what the object between `at` and `end` tells. Returns whether that is sure; of two the last one counts."""
    cdef Walk walk
    cdef int more
    usage.prompt_tokens = usage.completion_tokens = -1
    at = _blanks(at, end)
    if at[0] != c"{":
        return False
    _enter(&walk, at, end)
    while True:
        more = _next_name(&walk)
        if more <= 0:
            return more == 0 and _blanks(walk.at, end) == end
        if _is(&walk.key, b"usage", 5):
            usage.prompt_tokens = usage.completion_tokens = -1
            if walk.at[0] == c"{":
                if not _read_counts(&walk, usage):
                    return False
                continue
        walk.at = _skip(walk.at, end, MAX_DEPTH - 1)
        if walk.at == NULL:
            return False
