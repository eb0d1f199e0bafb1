# Text and numbers as octets. A str whose characters take an octet each stands in memory as its Latin-1.

cdef inline bytes _bytes(Span *span):
    return PyBytes_FromStringAndSize(<const char *>span.at, span.size)


cdef inline str _text(Span *span):
    return PyUnicode_DecodeLatin1(<const char *>span.at, span.size, NULL)


cdef inline str _text_again(Span *span, str before):
    """Return `before` where it is this text, else a new one."""
    cdef Span old
    if _is_octets(before, &old) and old.size == span.size and memcmp(old.at, span.at, span.size) == 0:
        return before
    return _text(span)


cdef inline bint _is_octets(text, Span *span) noexcept:
    """Whether the characters of a str are octets: then `span` is set to them, and lives as long as it does."""
    if not PyUnicode_CheckExact(text) or PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND:
        return False
    span.at, span.size = <Octets>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)
    return True


cdef inline void _span_of(bytes data, Span *span) noexcept:
    span.at, span.size = <Octets>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)


cdef bytes _encoded(text, bint is_any):
    """Return text in Latin-1; with `is_any` a question mark stands for what is not in it.

    Raises: UnicodeEncodeError for any other text.
    """
    cdef Span span
    if _is_octets(text, &span):
        return _bytes(&span)
    return text.encode("latin-1", "replace" if is_any else "strict")


cdef bytes _trimmed(text):
    """As `_encoded`, without white space around it."""
    cdef Span span
    if not _is_octets(text, &span):
        return text.encode("latin-1").strip(b" \t")
    _trim(&span)
    return _bytes(&span)


cdef Span _digits(unsigned char *room, unsigned long long number, unsigned int base) noexcept nogil:
    """Write a number at the end of 24 octets. Returns where."""
    cdef Span text
    cdef unsigned char *at = room + 24
    while True:
        at -= 1
        at[0] = <unsigned char>_HEX[number % base]
        number //= base
        if number == 0:
            text.at, text.size = at, room + 24 - at
            return text


cdef bint _is_alike(Span *one, Span *other) noexcept nogil:
    """Whether two names are the same in any case."""
    cdef Py_ssize_t place
    cdef unsigned char a, b
    if one.size != other.size:
        return False
    for place in range(one.size):
        a, b = one.at[place], other.at[place]
        if a != b and (a ^ b != 0x20 or not c"a" <= (a | 0x20) <= c"z"):
            return False
    return True


cdef inline bint _is_pair(pair) noexcept:
    """Whether this is a field: a tuple of two bytes objects."""
    return (
        PyTuple_CheckExact(pair) and PyTuple_GET_SIZE(pair) == 2
        and _is_bytes(PyTuple_GET_ITEM(pair, 0)) and _is_bytes(PyTuple_GET_ITEM(pair, 1))
    )


cdef inline bytes _name_of(pair):
    return <bytes>PyTuple_GET_ITEM(pair, 0)


cdef inline bytes _value_of(pair):
    return <bytes>PyTuple_GET_ITEM(pair, 1)
