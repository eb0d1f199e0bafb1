# Chunked bodies, one step at a time; after _http1_scan.pxi. The core of the scanner and of whoever passes chunks on.

cdef enum ChunkState:  # as the twin numbers them
    SIZE_LINE
    CHUNK_DATA
    DATA_END
    TRAILERS
    CHUNKS_DONE

cdef enum ChunkStep:
    STEP_MORE  # all is taken, and the body goes on
    STEP_DATA  # data was found
    STEP_DONE  # the body has ended
    STEP_UNSURE  # the twin has to take the line that begins here

cdef struct Chunks:
    int state
    unsigned long long left  # of the chunk's data
    Py_ssize_t trailer_bytes  # so far: those are the twin's to take and to bound


cdef inline int _hex_digit(unsigned char octet) noexcept nogil:
    if c"0" <= octet <= c"9":
        return octet - c"0"
    octet |= 0x20
    return octet - c"a" + 10 if c"a" <= octet <= c"f" else -1


cdef bint _take_size(Chunks *chunks, Octets *at, Octets end) noexcept nogil:
    """Take a whole line of a size alone."""
    cdef Octets here = at[0]
    cdef unsigned long long size = 0
    cdef int digit, num_digits = 0
    while here < end:
        digit = _hex_digit(here[0])
        if digit < 0:
            break
        size = size * 16 + digit
        num_digits += 1
        here += 1
    if not 1 <= num_digits <= 16 or end - here < 2 or here[0] != c"\r" or here[1] != c"\n":
        return False
    at[0] = here + 2
    chunks.left = size
    chunks.state = CHUNK_DATA if size else TRAILERS
    return True


cdef bint _take_empty(Chunks *chunks, Octets *at, Octets end, int state) noexcept nogil:
    """Take a whole empty line."""
    if end - at[0] < 2 or at[0][0] != c"\r" or at[0][1] != c"\n":
        return False
    at[0] += 2
    chunks.state = state
    return True


cdef ChunkStep _step(Chunks *chunks, Octets *at, Octets end, Span *data) noexcept nogil:
    """Go on from `at` to the next data, the end of the body, or the end of what there is. Moves `at` behind it."""
    cdef bint is_sure = True
    while chunks.state != CHUNKS_DONE:
        if at[0] == end:
            return STEP_MORE
        if chunks.state == CHUNK_DATA:
            data.at = at[0]
            data.size = end - at[0]
            if chunks.left <= <unsigned long long>data.size:
                data.size = <Py_ssize_t>chunks.left
                chunks.state = DATA_END
            chunks.left -= data.size
            at[0] += data.size
            return STEP_DATA
        if chunks.state == SIZE_LINE:
            is_sure = _take_size(chunks, at, end)
        elif chunks.state == DATA_END:
            is_sure = _take_empty(chunks, at, end, SIZE_LINE)
        else:
            is_sure = chunks.trailer_bytes == 0 and _take_empty(chunks, at, end, CHUNKS_DONE)
        if not is_sure:
            return STEP_UNSURE
    return STEP_DONE
