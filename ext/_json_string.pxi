# Steps over the text of JSON strings; included by the extensions that read JSON, before _json_value.pxi.
#
# What is stepped over is valid to orjson, too. Whatever is not plainly so is *unsure*: NULL. Half of a surrogate pair
# is, too: it is no character.
#
# At `end` stands a byte that is no part of the text: a line's end, or the NUL after a bytes object. No step goes past
# it: none takes a control character, and none takes more than a byte at once without asking for the end.

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    static inline uint64_t headgate_word(const unsigned char *at) {  /* 8 bytes, the first one lowest */
        uint64_t word;
        memcpy(&word, at, 8);
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        return word;
    }

    typedef unsigned char headgate_bytes __attribute__((vector_size(16)));
    typedef signed char headgate_marks __attribute__((vector_size(16)));  /* 0 or -1 for each byte */

    static inline headgate_bytes headgate_load(const unsigned char *at) {
        headgate_bytes bytes;
        memcpy(&bytes, at, 16);
        return bytes;
    }

    /* Where the first mark is, or 16. */
    static inline int headgate_first(headgate_marks marks) {
        unsigned char bytes[16];
        uint64_t low, high;
        memcpy(bytes, &marks, 16);
        low = headgate_word(bytes);
        high = headgate_word(bytes + 8);
        return low ? __builtin_ctzll(low) >> 3 : high ? 8 + (__builtin_ctzll(high) >> 3) : 16;
    }

    static inline int headgate_is_ascii(const unsigned char *at) {  /* 16 bytes */
        return !((headgate_word(at) | headgate_word(at + 8)) & 0x8080808080808080u);
    }

    /* How many of the 16 bytes at `at` are ASCII and stand for themselves in a string, up to the first that is not. */
    static inline int headgate_num_plain(const unsigned char *at) {
        const headgate_bytes a = headgate_load(at);
        return headgate_first(((headgate_marks)a < 0x20) | (a == '"') | (a == '\\\\'));
    }

    /* As before, but any UTF-8 is taken; -1 where it is none. The 3 bytes before `at` are part of it. (RFC 3629 §4) */
    static inline int headgate_num_wide(const unsigned char *at) {
        const headgate_bytes a = headgate_load(at), b = headgate_load(at - 1);  /* b: the byte before each, and so on */
        const headgate_bytes c = headgate_load(at - 2), d = headgate_load(at - 3);
        const headgate_marks end = (a < 0x20) | (a == '"') | (a == '\\\\');
        const headgate_marks wrong = ((b >= 0xC0) | (c >= 0xE0) | (d >= 0xF0)) ^ ((headgate_marks)a < -0x40);
        /* A lead that not all of 80 to BF may follow. */
        const headgate_marks bound = ((b & 0xFE) == 0xC0) | (b == 0xE0) | (b == 0xED) | (b >= 0xF0);
        int num;
        if (headgate_first(end | wrong | bound) == 16)
            return 16;
        num = headgate_first(end);
        return headgate_first(wrong | ((b & 0xFE) == 0xC0) | (b >= 0xF5)
            | ((b == 0xE0) & (a < 0xA0)) | ((b == 0xED) & (a >= 0xA0))
            | ((b == 0xF0) & (a < 0x90)) | ((b == 0xF4) & (a >= 0x90))) <= num - (num == 16) ? -1 : num;
    }
    """
    uint64_t headgate_word(const unsigned char *at) nogil
    bint headgate_is_ascii(const unsigned char *at) nogil
    int headgate_num_plain(const unsigned char *at) nogil
    int headgate_num_wide(const unsigned char *at) nogil

ctypedef const unsigned char *Bytes

cdef unsigned char[256] _IS_PLAIN  # by byte: stands for itself inside a string
cdef unsigned char[256] _IS_HEX
cdef unsigned char[256] _IS_SHORT  # may stand alone after a backslash
for _code in range(256):
    _IS_PLAIN[_code] = 0x20 <= _code < 0x80 and chr(_code) not in '"\\'
    _IS_HEX[_code] = chr(_code) in "0123456789abcdefABCDEF"
    _IS_SHORT[_code] = chr(_code) in '"\\/bfnrt'


cdef inline bint _is_more(unsigned char byte) noexcept nogil:
    return byte & 0xC0 == 0x80


cdef inline Bytes _wide(Bytes at) noexcept nogil:
    """Step over one character of two to four bytes (RFC 3629 §4)."""
    cdef unsigned char lead = at[0], second = at[1]
    if lead < 0xC2 or lead > 0xF4 or not _is_more(second):
        return NULL
    if lead < 0xE0:
        return at + 2
    if (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second > 0x9F) or not _is_more(at[2]):
        return NULL
    if lead < 0xF0:
        return at + 3
    if (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second > 0x8F) or not _is_more(at[3]):
        return NULL
    return at + 4


cdef inline bint _is_hex(Bytes at) noexcept nogil:
    return _IS_HEX[at[0]] and _IS_HEX[at[1]] and _IS_HEX[at[2]] and _IS_HEX[at[3]]


cdef inline bint _is_surrogate(Bytes at) noexcept nogil:
    return at[0] | 0x20 == c"d" and at[1] >= c"8"


cdef inline Bytes _escape(Bytes at) noexcept nogil:
    """Step over what stands after a backslash."""
    if _IS_SHORT[at[0]]:
        return at + 1
    if at[0] != c"u" or not _is_hex(at + 1):
        return NULL
    if not _is_surrogate(at + 1):
        return at + 5
    if at[2] | 0x20 >= c"c" or at[5] != c"\\" or at[6] != c"u" or not _is_hex(at + 7):
        return NULL
    return at + 11 if _is_surrogate(at + 7) and at[8] | 0x20 >= c"c" else NULL


cdef inline Bytes _wides(Bytes at, Bytes end) noexcept nogil:
    """Step over what stands for itself, until it is ASCII again for 16 bytes; `at` is on a character that is not."""
    cdef int num
    while end - at >= 16:
        num = headgate_num_wide(at)
        if num < 0:
            return NULL
        if num < 16 or headgate_is_ascii(at):
            return at + num
        at += 16
    return at


cdef inline Bytes _last(Bytes at) noexcept nogil:
    """Step over what stands for itself, byte by byte; `at` may be inside a character that is right so far."""
    while _is_more((at - 1)[0]):
        at -= 1
    if (at - 1)[0] >= 0xC0:
        at -= 1
    while True:
        while _IS_PLAIN[at[0]]:
            at += 1
        if at[0] < 0x80:
            return at
        at = _wide(at)
        if at == NULL:
            return NULL


cdef inline Bytes _plain(Bytes at, Bytes end, Bytes start) noexcept nogil:
    """Step over what stands for itself, in a string that began at `start`."""
    cdef int num
    while end - at >= 16:
        num = headgate_num_plain(at)
        at += num
        if num == 16:
            continue
        if at[0] < 0x80:
            return at
        at = _wide(at) if at - start < 3 else _wides(at, end)
        if at == NULL:
            return NULL
    return _last(at)


cdef inline Bytes _string(Bytes at, Bytes end) noexcept nogil:
    """Step from behind the opening quote to behind the closing one."""
    cdef Bytes start = at
    cdef int num
    while True:
        at = _plain(at, end, start)
        if at == NULL:
            return NULL
        if at[0] == c'"':
            return at + 1
        if at[0] != c"\\":
            return NULL
        while at[0] == c"\\":
            at = _escape(at + 1)
            if at == NULL:
                return NULL
            num = 6  # the next one is often near: to step there byte by byte is faster
            while num and _IS_PLAIN[at[0]]:
                at += 1
                num -= 1
