# Octets of HTTP/1.1 by class, and spans of them. The core that any extension may include: no Python object in it.
#
# Of all the readers here holds: what is taken is taken alike by the twin. All else is *unsure*, and the twin decides.

from libc.string cimport memchr, memcmp, memcpy

ctypedef const unsigned char *Octets

cdef enum OctetClass:  # a bit each
    TOKEN_OCTET = 1  # of a method or a field's name
    VALUE_OCTET = 2  # of a field's value or a reason, white space too
    TARGET_OCTET = 4
    HOST_OCTET = 8  # of a name that needs no closer look

cdef struct Span:
    Octets at
    Py_ssize_t size

cdef unsigned char[256] _CLASSES


cdef void _fill_classes() noexcept:
    cdef int code
    cdef bint is_alphanumeric
    for code in range(256):
        is_alphanumeric = c"0" <= code <= c"9" or c"A" <= code <= c"Z" or c"a" <= code <= c"z"
        _CLASSES[code] = 0
        if is_alphanumeric or (code and code < 0x7F and memchr(b"!#$%&'*+-.^_`|~", code, 15) != NULL):
            _CLASSES[code] |= TOKEN_OCTET
        if code == c"\t" or (code >= 0x20 and code != 0x7F):
            _CLASSES[code] |= VALUE_OCTET
        if 0x21 <= code < 0x7F and code != c"#":
            _CLASSES[code] |= TARGET_OCTET
        if is_alphanumeric or (code and memchr(b"._~-", code, 4) != NULL):
            _CLASSES[code] |= HOST_OCTET

_fill_classes()


cdef inline Octets _past(Octets at, Octets end, int kind) noexcept nogil:
    """Return where the first octet stands that is not of `kind`: at most `end`."""
    while at < end and _CLASSES[at[0]] & kind:
        at += 1
    return at


cdef inline Octets _past_value(Octets at, Octets end) noexcept nogil:
    """As `_past` for VALUE_OCTET, eight octets at a time: they are what most of a head is made of."""
    cdef unsigned long long word, is_delete
    while end - at >= 8:
        memcpy(&word, at, 8)
        is_delete = word ^ 0x7F7F7F7F7F7F7F7FULL
        # The high bit of an octet that is less than 0x20; of one that is 0x7F (and maybe of those above it).
        if ((word - 0x2020202020202020ULL) & ~word | (is_delete - 0x0101010101010101ULL) & ~is_delete) & 0x8080808080808080ULL:
            break
        at += 8
    return _past(at, end, VALUE_OCTET)


cdef inline bint _is_blank(unsigned char octet) noexcept nogil:
    return octet == c" " or octet == c"\t"


cdef inline bint _is_digit(unsigned char octet) noexcept nogil:
    return c"0" <= octet <= c"9"


cdef inline void _trim(Span *span) noexcept nogil:
    """Take the white space off both ends."""
    while span.size and _is_blank(span.at[0]):
        span.at += 1
        span.size -= 1
    while span.size and _is_blank(span.at[span.size - 1]):
        span.size -= 1


cdef inline bint _is_word(Span *span, const char *lower, Py_ssize_t size) noexcept nogil:
    """Whether a span is `lower` in any case: a word of small letters, hyphens and digits."""
    cdef Py_ssize_t place
    cdef unsigned char octet
    if span.size != size:
        return False
    for place in range(size):
        octet = span.at[place]
        if c"A" <= octet <= c"Z":
            octet |= 0x20
        if octet != <unsigned char>lower[place]:
            return False
    return True


cdef inline bint _next_member(Span *rest, Span *member) noexcept nogil:
    """Take the next member off a comma-separated list. Source: RFC 9110 §5.6.1."""
    cdef Octets comma
    while rest.size:
        comma = <Octets>memchr(rest.at, c",", rest.size)
        member.at = rest.at
        member.size = rest.size if comma == NULL else comma - rest.at
        rest.at += member.size
        rest.size -= member.size
        if comma != NULL:
            rest.at += 1
            rest.size -= 1
        _trim(member)
        if member.size:
            return True
    return False


cdef bint _read_length(Span *digits, long long *length) noexcept nogil:
    """Read a Content-Length of 1 to 18 digits."""
    cdef Py_ssize_t place
    if not 1 <= digits.size <= 18:
        return False
    length[0] = 0
    for place in range(digits.size):
        if not _is_digit(digits.at[place]):
            return False
        length[0] = length[0] * 10 + (digits.at[place] - c"0")
    return True


cdef bint _is_plain_host(Span *host) noexcept nogil:
    """Whether this is surely `name` or `name:port`. False decides nothing: brackets and percents are not looked at."""
    cdef Octets end = host.at + host.size
    cdef Octets colon = _past(host.at, end, HOST_OCTET)
    cdef long port = 0
    cdef Octets at = colon + 1
    if not 1 <= colon - host.at <= 255:
        return False
    if colon == end:
        return True
    if colon[0] != c":" or end - at > 5:
        return False
    while at < end:
        if not _is_digit(at[0]):
            return False
        port = port * 10 + (at[0] - c"0")
        at += 1
    return port <= 65535
