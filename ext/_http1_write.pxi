# Heads of requests, written from spans; after _http1_head.pxi. The core of the writer.

cdef bint _is_value(Span *value) noexcept nogil:
    """Whether this is a field's value without white space around it."""
    cdef Octets end = value.at + value.size
    if value.size and (_is_blank(value.at[0]) or _is_blank(value.at[value.size - 1])):
        return False
    return _past_value(value.at, end) == end


cdef bint _is_all(Span *text, int kind) noexcept nogil:
    """Whether there is something, and all of it is of `kind`."""
    return text.size > 0 and _past(text.at, text.at + text.size, kind) == text.at + text.size


cdef Py_ssize_t _check_request(Head *head) noexcept nogil:
    """Take in the fields of a head that has method, target, names and values. Returns its bytes; -1 where unsure."""
    cdef int place
    cdef Field *field
    cdef Py_ssize_t size = head.method.size + head.target.size + 14
    if not _is_all(&head.method, TOKEN_OCTET) or not _is_all(&head.target, TARGET_OCTET):
        return -1
    head.minor = 1
    for place in range(head.num_fields):
        field = &head.fields[place]
        if not _is_all(&field.name, TOKEN_OCTET) or not _is_value(&field.value):
            return -1
        field.known = _known(&field.name)
        # What is asked of the other side is not checked as if it were asked of us: Expect is a field like others.
        if field.known != UNKNOWN and field.known != EXPECT and not _note(head, field):
            return -1
        size += field.name.size + field.value.size + 4
    return size if head.num_hosts == 1 and _is_framed(head) else -1


cdef inline unsigned char *_put(unsigned char *to, const void *data, Py_ssize_t size) noexcept nogil:
    memcpy(to, data, size)
    return to + size


cdef unsigned char *_put_fields(unsigned char *to, Head *head, bint is_host) noexcept nogil:
    cdef int place
    cdef Field *field
    for place in range(head.num_fields):
        field = &head.fields[place]
        if (field.known == HOST) == is_host:
            to = _put(to, field.name.at, field.name.size)
            to = _put(to, b": ", 2)
            to = _put(to, field.value.at, field.value.size)
            to = _put(to, b"\r\n", 2)
    return to


cdef void _put_request(unsigned char *to, Head *head) noexcept nogil:
    """Write a checked head: as many bytes as its check said."""
    to = _put(to, head.method.at, head.method.size)
    to = _put(to, b" ", 1)
    to = _put(to, head.target.at, head.target.size)
    to = _put(to, b" HTTP/1.1\r\n", 11)
    to = _put_fields(to, head, True)
    to = _put_fields(to, head, False)
    _put(to, b"\r\n", 2)
