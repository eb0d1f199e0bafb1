# Events that tell nothing new, still in the chunks they came in; included by _sse_c.pyx.

cdef Py_ssize_t _see_chunks(StreamState state, Bytes at, Py_ssize_t size, Py_ssize_t *num) noexcept:
    """Count the events of whole chunks. Returns the size of the chunks' data, -1 where anything is not plain."""
    cdef Bytes end = at + size
    cdef Chunks chunks
    cdef ChunkStep step
    cdef Span data
    memset(&chunks, 0, sizeof(Chunks))
    size = 0
    while True:
        step = _step(&chunks, &at, end, &data)
        if step == STEP_MORE:
            return size if chunks.state == SIZE_LINE else -1
        if step != STEP_DATA or chunks.left or not _see_events(state, data.at, data.at + data.size, num):
            return -1
        size += data.size


cdef bint _see_events(StreamState state, Bytes at, Bytes end, Py_ssize_t *num) noexcept:
    """Count whole events of one line of data each. Returns whether they are that, and tell nothing new."""
    cdef Found found
    cdef Bytes start, line_end
    if memchr(at, c"\r", end - at) != NULL:
        return False
    while at < end:
        if end - at < 6 or memcmp(at, b"data:", 5) != 0:
            return False
        start = at + 6 if at[5] == c" " else at + 5
        line_end = <Bytes>memchr(start, c"\n", end - start)
        if line_end == NULL or line_end + 1 == end or line_end[1] != c"\n":
            return False
        if not _read_chunk(start, line_end, &found) or _is_news(state, &found):
            return False
        num[0] += 1
        at = line_end + 2
    return True


cdef bint _is_news(StreamState state, Found *found) noexcept:
    """Whether a chunk tells anything but that it is one more with content."""
    cdef int place
    if not found.num_choices or found.prompt_tokens >= 0 or found.completion_tokens >= 0:
        return True
    if (found.has_content and not state.has_content) or (found.model.size and state.model is None):
        return True
    for place in range(found.num_choices):
        if found.reason[place].size or not state._is_seen[found.index[place]]:
            return True
    return False
