# The thread that writes the lines; included by _line_sink_c.pyx. It never has the interpreter's lock.

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free
from posix.unistd cimport close as close_fd, write as write_fd

cdef extern from *:
    """
    #include <limits.h>
    #include <poll.h>
    #include <sys/stat.h>

    /* Whether `fd` is a regular file, which takes any number of lines whole. */
    static inline int headgate_is_file(int fd) {
        struct stat found;
        return fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
    }
    static inline int headgate_has_room(int fd, int limit_ms) {  /* or something that a write will tell */
        struct pollfd asked = {fd, POLLOUT, 0};
        return poll(&asked, 1, limit_ms) != 0;
    }
    """
    const int PIPE_BUF
    bint is_file "headgate_is_file"(int fd) noexcept nogil
    bint has_room "headgate_has_room"(int fd, int limit_ms) noexcept nogil

cdef struct Record:  # of a line, or of a turn, which has one byte and a descriptor
    unsigned int at
    unsigned int size
    int fd

cdef struct Sink:
    int32_t num_owners  # the object and the thread: whoever leaves last frees it
    int32_t is_told  # the thread has yet to look
    int32_t is_closing
    int32_t is_done
    int64_t gather_ns
    int64_t end_ns  # until then, once it is closing, a thread waits for room
    uint64_t num_put  # of records; written by who puts
    uint64_t num_taken  # these four by the thread
    uint64_t num_failed
    int fd
    bint is_file
    char ring[RING_BYTES]  # no line is split at its end
    Record records[NUM_RECORDS]


cdef inline Record *_record(Sink *sink, uint64_t number) noexcept nogil:
    return &sink.records[number % NUM_RECORDS]


cdef void _let_go(Sink *sink) noexcept nogil:
    if is_last_owner(&sink.num_owners):
        free(sink)


cdef void *_run(void *given) noexcept nogil:
    cdef Sink *sink = <Sink *>given
    cdef bint is_last = False
    while not is_last:
        while not is_up(&sink.is_told):
            wait_for(&sink.is_told, -1)
        wait_for(&sink.is_closing, sink.gather_ns)  # lets others come
        is_last = is_up(&sink.is_closing)
        lower(&sink.is_told)  # before the records are looked at: what comes later raises it again
        _write_all(sink)
    _turn(sink, -1)
    raise_flag(&sink.is_done)
    _let_go(sink)
    return NULL


cdef void _write_all(Sink *sink) noexcept nogil:
    cdef uint64_t num_put = seen(&sink.num_put)
    cdef Record *record
    while sink.num_taken != num_put:
        record = _record(sink, sink.num_taken)
        if record.fd >= 0:
            _turn(sink, record.fd)
            show(&sink.num_taken, sink.num_taken + 1)
        else:
            _write_block(sink, record, _end_of_block(sink, num_put))
        num_put = seen(&sink.num_put)


cdef void _turn(Sink *sink, int fd) noexcept nogil:
    if sink.fd >= 0:
        close_fd(sink.fd)
    sink.fd = fd
    sink.is_file = is_file(fd)


cdef uint64_t _end_of_block(Sink *sink, uint64_t num_put) noexcept nogil:
    """Count the records up to the end of the next write: lines that stand behind each other, as many as it may have."""
    cdef uint64_t number = sink.num_taken
    cdef Record *record = _record(sink, number)
    cdef size_t at = record.at, end = record.at + record.size
    cdef size_t most = MOST_BYTES if sink.is_file else PIPE_BUF
    while True:
        number += 1
        record = _record(sink, number)
        if number == num_put or record.fd >= 0 or record.at != end or end + record.size - at > most:
            return number
        end += record.size


cdef void _write_block(Sink *sink, Record *first, uint64_t end) noexcept nogil:
    """Write lines that stand behind each other, and count those that are not written whole."""
    cdef Record *last = _record(sink, end - 1)
    cdef size_t done = first.at + _write(sink, sink.ring + first.at, last.at + last.size - first.at)
    cdef uint64_t number, num_failed = sink.num_failed
    if done != last.at + last.size:
        for number in range(sink.num_taken, end):
            last = _record(sink, number)
            num_failed += last.at + last.size > done
        show(&sink.num_failed, num_failed)
    show(&sink.num_taken, end)


cdef size_t _write(Sink *sink, const char *data, size_t size) noexcept nogil:
    """Return how many bytes were taken: a full disk must not cost a client its answer."""
    cdef size_t done = 0
    cdef Py_ssize_t num
    while done < size:
        num = write_fd(sink.fd, data + done, size - done)
        if num >= 0:
            done += num
        elif errno == EAGAIN:
            if not _comes_room(sink):
                break
        elif errno != EINTR:
            break
    return done


cdef bint _comes_room(Sink *sink) noexcept nogil:
    """Wait until a descriptor that does not wait by itself takes more; return whether that came."""
    while not has_room(sink.fd, LOOK_MS):
        if is_up(&sink.is_closing) and now_ns() >= sink.end_ns:
            return False
    return True
