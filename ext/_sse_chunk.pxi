# The facts of one chunk of a completion, found in one pass over its JSON; included by _sse_c.pyx.
#
# What is taken here is taken alike by `facts_of`. All else is *unsure* (False): bad JSON, an error, a wrong type, an
# escape in a wanted string, a wanted name twice. Then `facts_of` reads the event.

cdef enum:
    MAX_FOUND = 8  # choices in one chunk
    MAX_COUNT_DIGITS = 18
    MAX_INDEX_DIGITS = 3
    MAX_REASON_BYTES = 64  # a character has one byte or more

cdef enum Wanted:  # a bit each, to see a name that stands twice
    CHOICES = 1
    USAGE = 2
    MODEL = 4
    FAILURE = 8
    INDEX = 16
    REASON = 32
    DELTA = 64
    TEXT = 128
    PROMPT = 256
    COMPLETION = 512

cdef struct Found:
    int num_choices
    int[MAX_FOUND] index
    Text[MAX_FOUND] reason  # of size 0 where there is none
    bint has_choices  # the member is there
    bint has_content
    bint has_usage
    long long prompt_tokens  # -1 where not told
    long long completion_tokens
    Text model  # of size 0 where there is none


cdef int _content_bit(Text *key) noexcept nogil:
    """Return a bit for each of CONTENT_KEYS, and 0 for other names."""
    if _is(key, b"content", 7):
        return 1
    if _is(key, b"reasoning_content", 17):
        return 2
    if _is(key, b"tool_calls", 10):
        return 4
    if _is(key, b"reasoning", 9):
        return 8
    if _is(key, b"refusal", 7):
        return 16
    if _is(key, b"function_call", 13):
        return 32
    if _is(key, b"reasoning_details", 17):
        return 64
    return 128 if _is(key, b"audio", 5) else 256 if _is(key, b"images", 6) else 0


cdef bint _is_filled(Bytes at, Bytes end) noexcept nogil:
    """Whether a string, list or object begins here that is not empty."""
    if at[0] == c'"':
        return at[1] != c'"'
    if at[0] == c"[":
        return _blanks(at + 1, end)[0] != c"]"
    return at[0] == c"{" and _blanks(at + 1, end)[0] != c"}"


cdef bint _read_usage(Walk *outer, Found *found) noexcept nogil:
    cdef Walk walk
    cdef int more, wanted, seen = 0
    _enter(&walk, outer.at, outer.end)
    while True:
        more = _next_name(&walk)
        if more <= 0:
            outer.at = walk.at
            found.has_usage = True
            return more == 0
        wanted = PROMPT if _is(&walk.key, b"prompt_tokens", 13) else 0
        if _is(&walk.key, b"completion_tokens", 17):
            wanted = COMPLETION
        if seen & wanted:
            return False
        seen |= wanted
        if wanted == 0 or _is_null(walk.at, walk.end):
            walk.at = _skip(walk.at, walk.end, MAX_DEPTH)
            if walk.at == NULL:
                return False
        elif not _read_whole(
            &walk, &found.prompt_tokens if wanted == PROMPT else &found.completion_tokens, MAX_COUNT_DIGITS
        ):
            return False


cdef bint _read_delta(Walk *outer, Found *found) noexcept nogil:
    cdef Walk walk
    cdef int more, bit, seen = 0
    _enter(&walk, outer.at, outer.end)
    while True:
        more = _next_name(&walk)
        if more <= 0:
            outer.at = walk.at
            return more == 0
        bit = _content_bit(&walk.key)
        if seen & bit:
            return False
        seen |= bit
        found.has_content |= bit != 0 and _is_filled(walk.at, walk.end)
        walk.at = _skip(walk.at, walk.end, MAX_DEPTH)
        if walk.at == NULL:
            return False


cdef int _choice_wanted(Text *key) noexcept nogil:
    if _is(key, b"index", 5):
        return INDEX
    if _is(key, b"delta", 5):
        return DELTA
    if _is(key, b"finish_reason", 13):
        return REASON
    return TEXT if _is(key, b"text", 4) else 0


cdef bint _read_choice(Walk *outer, Found *found) noexcept nogil:
    cdef Walk walk
    cdef int more, wanted, seen = 0
    cdef long long index = found.num_choices
    cdef Text reason, text
    reason.size = 0
    _enter(&walk, outer.at, outer.end)
    while True:
        more = _next_name(&walk)
        if more <= 0:
            break
        wanted = _choice_wanted(&walk.key)
        if seen & wanted:
            return False
        seen |= wanted
        if wanted == 0 or _is_null(walk.at, walk.end):
            walk.at = _skip(walk.at, walk.end, MAX_DEPTH)
            if walk.at == NULL:
                return False
        elif wanted == INDEX:
            if not _read_whole(&walk, &index, MAX_INDEX_DIGITS):
                return False
        elif wanted == DELTA:
            if walk.at[0] != c"{" or not _read_delta(&walk, found):
                return False
        elif walk.at[0] != c'"':
            return False
        elif wanted == REASON:
            if not _read_text(&walk, &reason):
                return False
        else:
            found.has_content |= walk.at[1] != c'"'
            walk.at = _string(walk.at + 1, walk.end)
            if walk.at == NULL:
                return False
    outer.at = walk.at
    found.index[found.num_choices] = <int>index
    found.reason[found.num_choices] = reason
    found.num_choices += 1
    return more == 0 and index < NUM_INDEXES and reason.size <= MAX_REASON_BYTES


cdef bint _read_choices(Walk *walk, Found *found) noexcept nogil:
    cdef Bytes end = walk.end
    walk.at = _blanks(walk.at + 1, end)
    if walk.at[0] == c"]":
        walk.at += 1
        return True
    while True:
        if walk.at[0] != c"{" or found.num_choices == MAX_FOUND or not _read_choice(walk, found):
            return False
        walk.at = _blanks(walk.at, end)
        if walk.at[0] == c"]":
            walk.at += 1
            return True
        if walk.at[0] != c",":
            return False
        walk.at = _blanks(walk.at + 1, end)


cdef int _top_wanted(Text *key) noexcept nogil:
    if _is(key, b"choices", 7):
        return CHOICES
    if _is(key, b"model", 5):
        return MODEL
    if _is(key, b"usage", 5):
        return USAGE
    return FAILURE if _is(key, b"error", 5) else 0


cdef bint _read_chunk(Bytes at, Bytes end, Found *found) noexcept nogil:
    """Find the facts of the chunk between `at` and `end`. Returns whether that is sure."""
    cdef Walk walk
    cdef int more, wanted, seen = 0
    memset(found, 0, sizeof(Found))
    found.prompt_tokens = found.completion_tokens = -1
    at = _blanks(at, end)
    if at[0] != c"{":
        return False
    _enter(&walk, at, end)
    while True:
        more = _next_name(&walk)
        if more <= 0:
            return more == 0 and _blanks(walk.at, end) == end
        wanted = _top_wanted(&walk.key)
        if seen & wanted:
            return False
        seen |= wanted
        found.has_choices |= wanted == CHOICES
        if wanted == 0 or _is_null(walk.at, end) or (wanted == USAGE and walk.at[0] != c"{"):
            walk.at = _skip(walk.at, end, MAX_DEPTH)
            if walk.at == NULL:
                return False
        elif wanted == CHOICES:
            if walk.at[0] != c"[" or not _read_choices(&walk, found):
                return False
        elif wanted == USAGE:
            if not _read_usage(&walk, found):
                return False
        elif wanted == FAILURE or walk.at[0] != c'"' or not _read_text(&walk, &found.model):
            return False
