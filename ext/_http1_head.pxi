# Heads as spans, whole ones and their end in a buffer; after _http1_scan.pxi. The core of readers and writers of heads.

cdef enum:
    MAX_SPANS = 256  # fields of a head; with more the twin decides

cdef enum Known:  # fields that frame a message, or say what becomes of the connection
    UNKNOWN
    HOST
    CONNECTION
    CONTENT_LENGTH
    TRANSFER_ENCODING
    EXPECT
    UPGRADE

cdef struct Limits:
    Py_ssize_t line_bytes
    Py_ssize_t head_bytes
    Py_ssize_t num_fields

cdef struct Field:
    Span name
    Span value
    Known known

cdef struct Head:
    int minor  # of the version: 0 or 1
    int status  # of an answer
    Py_ssize_t size  # with the empty line
    Span method  # of a request
    Span target  # of a request
    Span reason  # of an answer
    Span host  # of a request; of size 0 where it has none
    int num_hosts
    int num_codings
    int num_lengths
    long long content_length  # -1: not told
    bint is_chunked
    bint has_close  # by its Connection, as the next one
    bint has_keep_alive
    bint has_upgrade
    bint expects_continue
    int num_fields
    Field[MAX_SPANS] fields


cdef Known _known(Span *name) noexcept nogil:
    if name.size == 4:
        return HOST if _is_word(name, b"host", 4) else UNKNOWN
    if name.size == 6:
        return EXPECT if _is_word(name, b"expect", 6) else UNKNOWN
    if name.size == 7:
        return UPGRADE if _is_word(name, b"upgrade", 7) else UNKNOWN
    if name.size == 10:
        return CONNECTION if _is_word(name, b"connection", 10) else UNKNOWN
    if name.size == 14:
        return CONTENT_LENGTH if _is_word(name, b"content-length", 14) else UNKNOWN
    if name.size == 17:
        return TRANSFER_ENCODING if _is_word(name, b"transfer-encoding", 17) else UNKNOWN
    return UNKNOWN


cdef bint _note(Head *head, Field *field) noexcept nogil:
    """Take in what a known field says. Returns whether that is sure."""
    cdef Span rest = field.value, member
    if field.known == HOST:
        head.host = field.value
        head.num_hosts += 1
        return True
    if field.known == CONTENT_LENGTH:
        head.num_lengths += 1
        return _read_length(&field.value, &head.content_length)
    if field.known == TRANSFER_ENCODING:
        head.num_codings += 1
        head.is_chunked = True
        return _is_word(&field.value, b"chunked", 7)
    if field.known == EXPECT:
        head.expects_continue = True
        return _is_word(&field.value, b"100-continue", 12)
    head.has_upgrade |= field.known == UPGRADE
    while field.known == CONNECTION and _next_member(&rest, &member):
        head.has_close |= _is_word(&member, b"close", 5)
        head.has_keep_alive |= _is_word(&member, b"keep-alive", 10)
    return True


cdef inline void _clear(Head *head) noexcept nogil:
    head.minor = head.status = head.num_hosts = head.num_codings = head.num_lengths = head.num_fields = 0
    head.method.size = head.target.size = head.reason.size = head.host.size = 0
    head.content_length = -1
    head.is_chunked = head.has_close = head.has_keep_alive = head.has_upgrade = head.expects_continue = False


cdef bint _read_fields(Octets at, Octets end, Limits *limits, Head *head) noexcept nogil:
    """Read the lines from `at` up to and with the empty one; what is behind that is not looked at."""
    cdef Field *field
    cdef Octets start = at
    while True:
        if end - at < 2:
            return False
        if at[0] == c"\r":
            head.size += at + 2 - start
            return at[1] == c"\n"
        if head.num_fields == MAX_SPANS or head.num_fields == limits.num_fields:
            return False
        field = &head.fields[head.num_fields]
        head.num_fields += 1
        field.name.at = at
        at = _past(at, end, TOKEN_OCTET)
        field.name.size = at - field.name.at
        if field.name.size == 0 or at == end or at[0] != c":":
            return False
        field.value.at = at + 1
        at = _past_value(at + 1, end)
        field.value.size = at - field.value.at
        _trim(&field.value)
        if end - at < 2 or at[0] != c"\r" or at[1] != c"\n":
            return False
        at += 2
        field.known = _known(&field.name)
        if field.known != UNKNOWN and not _note(head, field):
            return False


cdef inline bint _read_version(Octets at, Head *head) noexcept nogil:
    """Read `HTTP/1.` and a digit: eight octets that have to be there."""
    head.minor = 0 if at[7] == c"0" else 1
    return memcmp(at, b"HTTP/1.", 7) == 0 and _is_digit(at[7])


cdef inline bint _is_framed(Head *head) noexcept nogil:
    if head.num_lengths > 1 or head.num_codings > 1:
        return False
    return head.num_codings == 0 or (head.num_lengths == 0 and head.minor == 1)


cdef bint _read_request(Octets at, Py_ssize_t size, Limits *limits, Head *head) noexcept nogil:
    """Read a request head, and nothing else. Returns whether what was read is sure."""
    return _begins_request(at, size, limits, head) and head.size == size


cdef bint _begins_request(Octets at, Py_ssize_t size, Limits *limits, Head *head) noexcept nogil:
    """Read the whole request head at the beginning of some octets. Returns whether what was read is sure.

    What it takes ends where `_find_end` says. False of a head that is not whole, too: then that one decides.
    """
    cdef Octets end = at + size, start = at
    _clear(head)
    head.method.at = at
    at = _past(at, end, TOKEN_OCTET)
    head.method.size = at - start
    if at == end or at[0] != c" " or head.method.size == 0:
        return False
    if head.method.size == 7 and memcmp(start, b"CONNECT", 7) == 0:
        return False
    head.target.at = at + 1
    at = _past(at + 1, end, TARGET_OCTET)
    head.target.size = at - head.target.at
    if head.target.size == 0 or head.target.at[0] != c"/" or end - at < 13 or at[0] != c" ":
        return False
    if not _read_version(at + 1, head) or at[9] != c"\r" or at[10] != c"\n" or at + 9 - start > limits.line_bytes:
        return False
    head.size = at + 11 - start
    if not _read_fields(at + 11, end, limits, head) or head.size > limits.head_bytes:
        return False
    if head.num_hosts != 1 or not _is_plain_host(&head.host):
        return False
    head.expects_continue &= head.minor == 1
    return _is_framed(head)


cdef bint _read_response(Octets at, Py_ssize_t size, Limits *limits, Head *head) noexcept nogil:
    """Read a response head, and nothing else. Returns whether what was read is sure."""
    return _begins_response(at, size, limits, head) and head.size == size


cdef bint _begins_response(Octets at, Py_ssize_t size, Limits *limits, Head *head) noexcept nogil:
    """As `_begins_request`, of a response."""
    cdef Octets end = at + size, start = at
    _clear(head)
    if size < 16 or not _read_version(at, head) or at[8] != c" ":
        return False
    if not c"1" <= at[9] <= c"5" or not _is_digit(at[10]) or not _is_digit(at[11]):
        return False
    head.status = (at[9] - c"0") * 100 + (at[10] - c"0") * 10 + (at[11] - c"0")
    at += 12
    head.reason.at = at
    if at[0] == c" ":
        at = _past_value(at, end)
        head.reason.size = at - head.reason.at
        _trim(&head.reason)
    if end - at < 4 or at[0] != c"\r" or at[1] != c"\n" or at - start > limits.line_bytes:
        return False
    head.size = at + 2 - start
    return _read_fields(at + 2, end, limits, head) and head.size <= limits.head_bytes and _is_framed(head)


cdef inline bint _is_kept(Head *head) noexcept nogil:
    return not head.has_close and (head.minor == 1 or head.has_keep_alive)


cdef Py_ssize_t _find_end(Octets data, Py_ssize_t size, Py_ssize_t *seen, Limits *limits) noexcept nogil:
    """Return where a head ends that begins at `data`, 0 where it is not yet whole, -1 where that is not sure.

    `seen` is how much of it is known to be good: 0 at first, and what it was set to with more of the same head.
    """
    cdef Py_ssize_t at = seen[0], stop = size, line = size
    cdef bint is_whole = False
    while not is_whole:
        at = _past_value(data + at, data + size) - data
        if at == size or (at + 1 == size and data[at] == c"\r"):
            break
        if data[at] != c"\r" or data[at + 1] != c"\n" or at == 0:
            return -1
        is_whole = data[at - 1] == c"\n"
        at += 2
        stop = at if is_whole else size
    if seen[0] <= limits.line_bytes:
        if memchr(data, c"\r", min(stop, limits.line_bytes + 1)) == NULL and stop > limits.line_bytes:
            return -1
    seen[0] = at
    if stop > limits.head_bytes:
        return -1
    return stop if is_whole else 0
