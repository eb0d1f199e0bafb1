# The answer of a target, and as the client gets it.

@cython.final
@cython.freelist(64)
cdef class AnswerHead:
    """A target's head that was taken. `raw` are the fields that travel on, without Content-Length.

    `length` is that of the body, None for a chunked one. `size`: so many bytes were the head's.
    """

    cdef readonly int status
    cdef readonly bytes reason
    cdef readonly list raw
    cdef readonly object length
    cdef readonly bint is_keep_alive
    cdef readonly bint is_event_stream
    cdef readonly bytes media_type  # Content-Type as it came; empty: there is none
    cdef readonly bytes numerics
    cdef readonly Py_ssize_t size


def read_answer(bytes data not None, Facts facts not None, Py_ssize_t max_head_bytes, Py_ssize_t max_fields):
    """Read the head at the beginning of `data`; None where it is not whole, or for the reference path to read."""
    cdef Head head
    cdef Limits limits
    cdef Py_ssize_t seen = 0, size
    cdef AnswerHead answer
    limits.line_bytes = facts.limits.line_bytes
    limits.head_bytes, limits.num_fields = max_head_bytes, max_fields
    size = _find_end(<Octets>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &seen, &limits)
    if size <= 0 or not _read_response(<Octets>PyBytes_AS_STRING(data), size, &limits, &head):
        return None
    if head.minor != 1 or head.status < 200 or head.status == 204 or head.status == 304:
        return None
    if not head.is_chunked and head.content_length < 0:
        return None
    answer = AnswerHead.__new__(AnswerHead)
    answer.status = head.status
    answer.reason = _bytes(&head.reason)
    answer.length = None if head.is_chunked else head.content_length
    answer.is_keep_alive = _is_kept(&head)
    answer.size = size
    return answer if _take_fields(&head, facts.of_answers, answer) else None


cdef bint _take_fields(Head *head, Kinds kinds, AnswerHead answer) except -1:
    cdef int place, kind
    cdef bytes name
    cdef Span rest, member
    cdef Field *field
    cdef bint is_coded = False
    answer.raw = []
    for place in range(head.num_fields):
        field = &head.fields[place]
        rest = field.value
        while field.known == CONNECTION and _next_member(&rest, &member):
            if not (_is_word(&member, b"close", 5) or _is_word(&member, b"keep-alive", 10)):
                return False
        if _is_word(&field.name, b"content-type", 12):
            if answer.media_type is not None:  # two: not for us to say which
                return False
            answer.is_event_stream = _begins_as(&field.value, b"text/event-stream", 17)
            answer.media_type = _bytes(&field.value)
        elif _is_word(&field.name, b"content-encoding", 16):
            is_coded = not _is_word(&field.value, b"identity", 8)
        name = _bytes(&field.name)
        kind = kinds.of(name)
        if kind == KEPT:
            answer.raw.append((name, _bytes(&field.value)))
        elif kind == TOLD_ID:  # which numerics gave the answer
            answer.numerics = _bytes(&field.value) if answer.numerics is None else answer.numerics
    if answer.media_type is None:
        answer.media_type = b""
    return not (is_coded and answer.is_event_stream)  # which would have to be split into events all the same


cdef bint _begins_as(Span *text, const char *lower, Py_ssize_t size) noexcept:
    cdef Span start = text[0]
    start.size = min(size, start.size)
    return _is_word(&start, lower, size)


cdef int _set(list raw, bytes name, bytes lower, bytes value) except -1:
    """Replace every field of that name by one, at the end."""
    cdef Py_ssize_t place
    for place in range(PyList_GET_SIZE(raw) - 1, -1, -1):
        if _is_named((<tuple>raw[place])[0], lower):
            del raw[place]
    raw.append((name, value))
    return 0


cdef inline bint _is_named(bytes name, bytes lower):
    cdef Span span
    span.at, span.size = <Octets>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
    return _is_word(&span, PyBytes_AS_STRING(lower), PyBytes_GET_SIZE(lower))


cdef bint _is_field(bytes name, bytes value):
    cdef Span key, text
    key.at, key.size = <Octets>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
    text.at, text.size = <Octets>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
    return _is_all(&key, TOKEN_OCTET) and _is_value(&text)


def decorate(list raw not None, added, bytes date not None, str request_id not None, str target, int num_attempts,
             str cache_status):
    """Add what every answer carries: fields of stages, Date where there is none, and what we have to tell."""
    cdef bytes key, data
    for name, value in added:
        key, data = name.encode("latin-1"), value.encode("latin-1").strip(b" \t")
        if not _is_field(key, data):
            raise ValueError(f"expected a field of token characters, and a value without control characters, for {name!r}")
        _set(raw, key, key.lower(), data)
    for pair in raw:
        if _is_named((<tuple>pair)[0], b"date"):
            break
    else:
        raw.append((b"Date", date))
    _set(raw, b"x-request-id", b"x-request-id", request_id.encode("latin-1"))
    if target is not None:
        raw.append((b"X-Headgate-Target", target.encode("latin-1", "replace")))
    if num_attempts:
        raw.append((b"X-Headgate-Attempts", b"%d" % num_attempts))
    if cache_status is not None:
        raw.append((b"X-Headgate-Cache", cache_status.encode("latin-1", "replace")))


def write_answer(int status, bytes reason not None, list raw not None, object length, bint is_kept):
    """Return the head of an answer to a client; None where the reference path is to write it.

    `length` is that of the body; None: it is chunked.
    """
    cdef char[24] digits
    cdef Span span
    span.at, span.size = <Octets>PyBytes_AS_STRING(reason), PyBytes_GET_SIZE(reason)
    if _past_value(span.at, span.at + span.size) != span.at + span.size:
        return None
    _begin_head()
    _add(b"HTTP/1.1 ", 9)
    _add(digits, snprintf(digits, 24, b"%d ", status))
    _add_bytes(reason)
    _add(b"\r\n", 2)
    for pair in raw:
        if not _is_pair(pair):
            return None
        if not _add_field((<tuple>pair)[0], (<tuple>pair)[1]):
            return None
    if length is None:
        _add(b"Transfer-Encoding: chunked\r\n", 28)
    else:
        _add_number(b"Content-Length: ", 16, length)
    if not is_kept:
        _add(b"Connection: close\r\n", 19)
    return _end_head()


def joined(bytes head not None, bytes piece not None, bint is_chunked, bint is_last):
    """Return head and piece as they go out, in one: the piece as a chunk where the body is chunked."""
    cdef char[24] line
    cdef Py_ssize_t line_bytes = 0, size = PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(piece)
    cdef bytes whole
    cdef unsigned char *to
    if is_chunked:
        if PyBytes_GET_SIZE(piece):
            line_bytes = snprintf(line, 24, b"%zx\r\n", PyBytes_GET_SIZE(piece))
            size += line_bytes + 2
        size += 5 if is_last else 0
    elif not PyBytes_GET_SIZE(head):
        return piece
    whole = PyBytes_FromStringAndSize(NULL, size)
    to = _put(<unsigned char *>PyBytes_AS_STRING(whole), PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
    to = _put(to, line, line_bytes)
    to = _put(to, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    if line_bytes:
        to = _put(to, b"\r\n", 2)
    if is_chunked and is_last:
        _put(to, b"0\r\n\r\n", 5)
    return whole


def clock():
    """Return seconds of the monotonic clock, as `time.perf_counter` does."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


def is_quiet(int descriptor):
    """Whether nothing waits to be read from an open socket, its end neither. Cost: one system call."""
    cdef char octet
    cdef ssize_t size = recv(descriptor, &octet, 1, MSG_PEEK | MSG_DONTWAIT)
    return size < 0 and errno == EAGAIN
