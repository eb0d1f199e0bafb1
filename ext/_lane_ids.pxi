# Ids by chance: of requests, traces and spans. Taken from the system by the block, as one call for each costs more.

cdef enum:
    CHANCE_BYTES = 8192

cdef bytes _chance = b""
cdef Py_ssize_t _chance_at = 0
cdef const char *_HEX = b"0123456789abcdef"


def _forget_chance():
    """Take nothing more of this block: a child process has the same one."""
    global _chance
    _chance = b""

os.register_at_fork(after_in_child=_forget_chance)


cdef const unsigned char *_take_chance(Py_ssize_t size) except NULL:
    global _chance, _chance_at
    if _chance_at + size > PyBytes_GET_SIZE(_chance):
        _chance = os.urandom(CHANCE_BYTES)
        _chance_at = 0
    _chance_at += size
    return <const unsigned char *>PyBytes_AS_STRING(_chance) + _chance_at - size


cdef inline void _put_hex(char *to, const unsigned char *data, Py_ssize_t size) noexcept:
    cdef Py_ssize_t place
    for place in range(size):
        to[2 * place] = _HEX[data[place] >> 4]
        to[2 * place + 1] = _HEX[data[place] & 15]


cdef str _new_id():
    cdef char[32] text
    _put_hex(text, _take_chance(16), 16)
    return PyUnicode_DecodeLatin1(text, 32, NULL)


cdef int _begin_trace(Exchange exchange) except -1:
    """Begin a new trace with a span of ours. Source: W3C Trace Context §3.2."""
    cdef char[55] text
    memcpy(text, b"00-", 3)
    _put_hex(text + 3, _take_chance(16), 16)
    text[35] = c"-"
    _put_hex(text + 36, _take_chance(8), 8)
    memcpy(text + 52, b"-01", 3)
    exchange.traceparent = PyUnicode_DecodeLatin1(text, 55, NULL)
    exchange.trace_id = PyUnicode_DecodeLatin1(text + 3, 32, NULL)
    return 0
