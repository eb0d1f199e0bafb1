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
    cdef AnswerHead answer
    limits.line_bytes = facts.limits.line_bytes
    limits.head_bytes, limits.num_fields = max_head_bytes, max_fields
    if not _begins_response(<Octets>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &limits, &head):
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
    answer.size = head.size
    return answer if _take_fields(&head, facts.of_answers, answer) else None


cdef bint _take_fields(Head *head, Kinds kinds, AnswerHead answer) except -1:
    cdef int place, kind = KEPT
    cdef bytes name
    cdef Field *field
    cdef bint is_coded = False
    answer.raw = []
    for place in range(head.num_fields):
        field = &head.fields[place]
        if not _is_plain_field(field):
            return False
        if _is_word(&field.name, b"content-type", 12):
            if answer.media_type is not None:  # two: not for us to say which
                return False
            answer.is_event_stream = _begins_as(&field.value, b"text/event-stream", 17)
            answer.media_type = _bytes(&field.value)
        elif _is_word(&field.name, b"content-encoding", 16):
            is_coded = not _is_word(&field.value, b"identity", 8)
        name = kinds.of(&field.name, &kind)
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


cdef int _set(list raw, bytes name, bytes value) except -1:
    """Replace every field of that name, in any case, by one at the end."""
    cdef Py_ssize_t place
    cdef Span key
    _span_of(name, &key)
    for place in range(PyList_GET_SIZE(raw) - 1, -1, -1):
        if _is_named(raw[place], &key):
            del raw[place]
    raw.append((name, value))
    return 0


cdef inline bint _is_named(pair, Span *name) noexcept:
    cdef Span key
    if not _is_pair(pair):
        return False
    _span_of(_name_of(pair), &key)
    return _is_alike(&key, name)


cdef bint _is_field(bytes name, bytes value) noexcept:
    cdef Span key, text
    _span_of(name, &key)
    _span_of(value, &text)
    return _is_all(&key, TOKEN_OCTET) and _is_value(&text)


def decorate(list raw not None, added, bytes date not None, str request_id not None, str target, int num_attempts,
             str cache_status):
    """Add what every answer carries: fields of stages, Date where there is none, and what we have to tell."""
    cdef bytes key, data
    for name, value in added:
        key, data = _encoded(name, False), _trimmed(value)
        if not _is_field(key, data):
            raise ValueError(f"expected a field of token characters, and a value without control characters, for {name!r}")
        _set(raw, key, data)
    if not _has_date(raw):
        raw.append((b"Date", date))
    _set(raw, b"x-request-id", _encoded(request_id, False))
    if target is not None:
        raw.append((b"X-Headgate-Target", _encoded(target, True)))
    if num_attempts:
        raw.append((b"X-Headgate-Attempts", _decimal(num_attempts)))
    if cache_status is not None:
        raw.append((b"X-Headgate-Cache", _encoded(cache_status, True)))


cdef bint _has_date(list raw) noexcept:
    cdef Span date
    date.at, date.size = <Octets>b"date", 4
    for pair in raw:
        if _is_named(pair, &date):
            return True
    return False


cdef bytes _decimal(int number):
    cdef unsigned char[24] room
    cdef Span digits
    if number < 0:
        return b"%d" % number
    digits = _digits(room, number, 10)
    return _bytes(&digits)


def write_answer(int status, bytes reason not None, list raw not None, object length, bint is_kept):
    """Return the head of an answer to a client; None where the reference path is to write it.

    `length` is that of the body; None: it is chunked.
    """
    cdef Span span
    _span_of(reason, &span)
    if _past_value(span.at, span.at + span.size) != span.at + span.size:
        return None
    _begin_head()
    _add(b"HTTP/1.1 ", 9)
    _add_status(status)
    _add(span.at, span.size)
    _add(b"\r\n", 2)
    for pair in raw:
        if not _is_pair(pair) or not _add_field(_name_of(pair), _value_of(pair)):
            return None
    if length is None:
        _add(b"Transfer-Encoding: chunked\r\n", 28)
    else:
        _add_number(b"Content-Length: ", 16, length)
    if not is_kept:
        _add(b"Connection: close\r\n", 19)
    return _end_head()


cdef void _add_status(int status) noexcept:
    cdef unsigned char[24] room
    cdef Span digits = _digits(room, <unsigned int>status, 10)
    _add(digits.at, digits.size)
    _add(b" ", 1)


def joined(bytes head not None, bytes piece not None, bint is_chunked, bint is_last):
    """Return head and piece as they go out, in one: the piece as a chunk where the body is chunked."""
    cdef unsigned char[24] room
    cdef Span line
    cdef Py_ssize_t size = PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(piece)
    cdef bytes whole
    cdef unsigned char *to
    line.size = 0
    if is_chunked:
        if PyBytes_GET_SIZE(piece):
            line = _digits(room, PyBytes_GET_SIZE(piece), 16)
            size += line.size + 4
        size += 5 if is_last else 0
    elif not PyBytes_GET_SIZE(head):
        return piece
    whole = PyBytes_FromStringAndSize(NULL, size)
    to = _put(<unsigned char *>PyBytes_AS_STRING(whole), PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
    if line.size:
        to = _put(_put(to, line.at, line.size), b"\r\n", 2)
    to = _put(to, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    if line.size:
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
