# Texts and numbers as JSON has them, written where there is room for them; included by `_json_line_c.pyx`.

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* Whether one of the 8 bytes may not stand for itself: below 0x20, a quote, a backslash. Exact, for any bytes. */
    static inline int headgate_has_odd(const unsigned char *at) {
        const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
        uint64_t word, quote, slash;
        memcpy(&word, at, 8);
        quote = word ^ (ones * '"');
        slash = word ^ (ones * '\\\\');
        return ((((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & tops) != 0;
    }
    """
    bint headgate_has_odd(const unsigned char *at) nogil

ctypedef const unsigned char *Bytes

cdef enum:
    BLOCK_BYTES = 16
    ESCAPED_BYTES = 6  # at most, of one byte

cdef unsigned char[256] _SHORT  # by byte: what stands for it behind a backslash; 1: \u00XX, 0: itself
for _code in range(256):
    _SHORT[_code] = _code < 0x20
for _code, _letter in zip(b'"\\\b\t\n\f\r', b'"\\btnfr'):
    _SHORT[_code] = _letter
cdef const char *_HEX = b"0123456789abcdef"


cdef inline void copy_blocks(unsigned char *to, Bytes text, Py_ssize_t num) noexcept nogil:
    """Copy `num` bytes, and up to BLOCK_BYTES behind them, which both sides have."""
    cdef Py_ssize_t at = 0
    while at < num:
        memcpy(to + at, text + at, BLOCK_BYTES)
        at += BLOCK_BYTES


cdef inline Py_ssize_t write_word(unsigned char *to, const char *word, Py_ssize_t num) noexcept nogil:
    memcpy(to, word, num)
    return num


cdef inline Py_ssize_t write_text(unsigned char *to, Bytes text, Py_ssize_t num) noexcept nogil:
    """Write the inside of a string; return how many bytes that is, at most ESCAPED_BYTES for each."""
    cdef unsigned char *start = to
    cdef Bytes end = text + num
    while text < end:
        if end - text >= 8 and not headgate_has_odd(text):
            memcpy(to, text, 8)
            to += 8
            text += 8
        else:
            to += write_byte(to, text[0])
            text += 1
    return to - start


cdef inline Py_ssize_t write_byte(unsigned char *to, unsigned char byte) noexcept nogil:
    cdef unsigned char short = _SHORT[byte]
    if short == 0:
        to[0] = byte
        return 1
    to[0] = c"\\"
    if short != 1:
        to[1] = short
        return 2
    memcpy(to + 1, b"u00", 3)
    to[4] = _HEX[byte >> 4]
    to[5] = _HEX[byte & 15]
    return ESCAPED_BYTES


cdef inline Py_ssize_t write_digits(unsigned char *to, uint64_t number) noexcept nogil:
    """Write a number of at most 20 digits; return how many."""
    cdef uint64_t above = 10
    cdef Py_ssize_t num = 1, at
    while number >= above:
        num += 1
        if num == 20:
            break
        above *= 10
    for at in range(num - 1, -1, -1):
        to[at] = c"0" + number % 10
        number //= 10
    return num


cdef inline Py_ssize_t write_thousandths(unsigned char *to, uint64_t number) noexcept nogil:
    """Write a point and up to three digits, the zeros at their end left out but for one; return how many bytes."""
    to[0] = c"."
    to[1] = c"0" + number // 100
    to[2] = c"0" + number // 10 % 10
    to[3] = c"0" + number % 10
    return 4 if number % 10 else 3 if number % 100 else 2
