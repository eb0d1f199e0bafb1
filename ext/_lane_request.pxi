# Heads, written into one buffer; and the request as a target gets it.

cdef enum:
    OUT_BYTES = 65536  # of a head; a larger one is the reference path's to write

cdef unsigned char[OUT_BYTES] _out
cdef Py_ssize_t _out_at = 0


cdef inline void _begin_head() noexcept:
    global _out_at
    _out_at = 0


cdef inline void _add(const void *data, Py_ssize_t size) noexcept:
    """Add bytes. What does not fit is left out, and the size tells of it."""
    global _out_at
    if _out_at + size <= OUT_BYTES:
        memcpy(_out + _out_at, data, size)
    _out_at += size


cdef inline void _add_bytes(bytes data) noexcept:
    _add(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef inline int _add_text(str text) except -1:
    """Add Latin-1 text. Raises: UnicodeEncodeError for any other."""
    cdef Span span
    if _is_octets(text, &span):
        _add(span.at, span.size)
    else:
        _add_bytes(text.encode("latin-1"))
    return 0


cdef void _add_number(const char *name, Py_ssize_t size, long long number) noexcept:
    cdef unsigned char[24] room
    cdef Span digits = _digits(room, <unsigned long long>(number if number >= 0 else -number), 10)
    _add(name, size)
    if number < 0:
        _add(b"-", 1)
    _add(digits.at, digits.size)
    _add(b"\r\n", 2)


cdef bint _add_field(bytes name, bytes value) noexcept:
    """Add a field's line. Returns whether it is one."""
    global _out_at
    cdef Span key, text
    cdef unsigned char *to
    _span_of(name, &key)
    _span_of(value, &text)
    if _out_at + key.size + text.size + 4 <= OUT_BYTES:
        to = _put(_put(_out + _out_at, key.at, key.size), b": ", 2)
        _put(_put(to, text.at, text.size), b"\r\n", 2)
    _out_at += key.size + text.size + 4
    return _is_all(&key, TOKEN_OCTET) and _is_value(&text)


cdef bytes _end_head():
    """Return the head with its last line; None where it became too large."""
    _add(b"\r\n", 2)
    return PyBytes_FromStringAndSize(<const char *>_out, _out_at) if _out_at <= OUT_BYTES else None


def write_request(Exchange exchange not None, Facts facts not None, bytes host not None, bytes told not None,
                  frozenset dropped not None, bytes added not None, Py_ssize_t length):
    """Return the head of an exchange's request for one endpoint; None where the reference path is to write it.

    `told` are the lines that tell where the request comes from, `added` those that the cluster adds, `dropped` the names
    (in lower case) that it takes away; `length` that of the body, -1: nothing is said of it. Every field is written again
    from its name and value.
    """
    cdef Request request = exchange.request
    cdef bytes via
    cdef Span target
    if not _is_octets(request.target, &target) or not _is_all(&target, TARGET_OCTET) or target.at[0] != c"/":
        return None
    _begin_head()
    _add_text(request.method)
    _add(b" ", 1)
    _add(target.at, target.size)
    _add(b" HTTP/1.1\r\nHost: ", 17)
    _add_bytes(host)
    _add(b"\r\n", 2)
    via = _add_kept(request.fields.raw, facts.of_requests, dropped)
    if via is None:
        return None
    _add_bytes(told)
    _add(b"X-Request-Id: ", 14)
    _add_text(exchange.request_id)
    _add(b"\r\nTraceparent: ", 15)
    _add_text(exchange.traceparent)
    _add(b"\r\nVia: ", 7)
    _add_bytes(via)
    _add(b"1.1 headgate\r\n", 14)
    if length >= 0:
        _add_number(b"Content-Length: ", 16, length)
    _add_number(b"X-Headgate-Deadline-Ms: ", 24, _left_ms(exchange))
    _add(b"X-Headgate-Priority: ", 21)
    _add_text(exchange.priority)
    _add(b"\r\n", 2)
    _add_bytes(added)
    return _end_head()


cdef long long _left_ms(Exchange exchange) except -1:
    cdef double left_s = exchange.deadline - <double>exchange.now()
    return max(0, <long long>(left_s * 1000))


cdef bytes _add_kept(list raw, Kinds kinds, frozenset dropped):
    """Add the fields that travel on; return what stands in Via so far, to go before ours. None: not ours to write."""
    cdef bytes name, value, via = b""
    cdef Span written
    cdef int kind = KEPT
    for pair in raw:
        if not _is_pair(pair):
            return None
        name, value = _name_of(pair), _value_of(pair)
        _span_of(name, &written)
        kinds.of(&written, &kind)
        if kind == CHAINED:
            via = b"%b%b, " % (via, value)
        elif kind == KEPT and not (dropped and name.lower() in dropped) and not _add_field(name, value):
            return None
    return via
