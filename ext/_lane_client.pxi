# A client's requests: one at a time, those behind it held.
#
# Phases: head → body → busy → head …; from any of them to discard (nothing more is taken).

@cython.final
cdef class Downstream(Connection):
    """A connection whose requests are served without a task, as long as they are plain.

    The door decides about requests: `begin` returns who serves one, or None: then the connection is handed over to the
    reference path, with all that was not taken.
    """

    cdef public object origin  # of the last request, for those after it
    cdef Facts _facts
    cdef str _scheme
    cdef bytes _held, _body
    cdef Py_ssize_t _seen, _body_at
    cdef bint _is_advancing

    def __cinit__(self, door, Facts facts not None, loop, str scheme not None):
        self._door = door
        self._facts = facts
        self._loop = loop
        self._scheme = scheme
        self.settings = facts.settings
        self._held = b""
        self.peer_address = ""

    # -- the transport's side

    def connection_made(self, transport):
        """Admit the connection, or answer at once that it is one too many."""
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        name = transport.get_extra_info("peername")
        self.peer_address = name[0] if isinstance(name, tuple) else ""
        refusal = self._door.opened(self)
        if refusal is not None:
            self.refuse(refusal)
        else:
            self._wait(self.settings.idle_timeout_s, IDLE_OVER)

    def connection_lost(self, exc):
        """Give up what runs for this client."""
        self._is_lost = True
        self._phase = DISCARDING
        self._held = b""
        self._watch = NOTHING
        if self._handle is not None:
            self._handle.cancel()
        self._stop_leave_watch()
        self._wake()
        self._door.closed(self)
        if self.serving is not None:
            self.serving.client_gone()
        elif self.exchange_task is not None:
            self.exchange_task.cancel()

    def eof_received(self):
        """The client closed its sending side: it is taken as gone (the transport closes, and takes no more)."""
        self._phase = DISCARDING
        if self.serving is not None and not self.serving.is_finishing:
            self.serving.client_gone()
        return False

    def data_received(self, bytes data not None):
        """Take bytes from the client."""
        if self._phase == DISCARDING:
            return
        self._held = data if not PyBytes_GET_SIZE(self._held) else self._held + data
        if self._phase == BUSY:
            self._bound_held()
        elif not self._is_advancing:
            self._advance()

    def pause_writing(self):
        """The client does not read as fast as it is answered."""
        self.writing_paused = True
        if self.serving is not None:
            self.serving.client_slow()

    def resume_writing(self):
        """The client has read enough."""
        self.writing_paused = False
        self._wake()
        if self.serving is not None:
            self.serving.client_reads()

    # -- one request at a time

    cdef int _advance(self) except -1:
        self._is_advancing = True
        try:
            while PyBytes_GET_SIZE(self._held) and (self._phase == IN_HEAD or self._phase == IN_BODY):
                if not (self._take_head() if self._phase == IN_HEAD else self._take_body()):
                    break
        finally:
            self._is_advancing = False
        if self._phase == BUSY:
            self._bound_held()
        return 0

    cdef bint _take_head(self) except -1:
        """Take a whole head off what is held. Returns whether to go on."""
        cdef bytes data = self._held
        cdef bint is_first = self._seen == 0
        cdef Arrived arrived = None
        cdef Head head
        cdef Py_ssize_t size = self._read_head(data, &head)
        if size == 0:
            if is_first:
                self._wait(self.settings.head_timeout_s, HEAD_LATE)
            return False
        self._seen = 0
        if size > 0:
            arrived = _arrive(&head, self._facts, self.peer_address, self._scheme)
        if arrived is None or not self._begin(arrived, data):
            self._hand_over()
            return False
        return True

    cdef Py_ssize_t _read_head(self, bytes data, Head *head) noexcept:
        """Read a head. Returns its size, 0 where it is not yet whole, -1 where the reference path is to read it."""
        cdef Octets at = <Octets>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if self._seen == 0 and _begins_request(at, size, &self._facts.limits, head):  # most come whole
            return head.size
        size = _find_end(at, size, &self._seen, &self._facts.limits)
        return size if size <= 0 or _read_request(at, size, &self._facts.limits, head) else -1

    cdef bint _begin(self, Arrived arrived, bytes data) except -1:
        """Begin to serve. Returns False, and nothing has happened, where the reference path is to do so."""
        cdef Py_ssize_t end = arrived.size + <Py_ssize_t>arrived.length
        cdef bytes body = None
        if arrived.length == 0:
            body = b""
        elif end <= PyBytes_GET_SIZE(data):
            body = data[arrived.size : end]
        elif arrived.length > self._door.max_body_bytes:
            return False
        serving = self._door.begin(self, arrived, body)
        if serving is None:
            return False
        self.serving = serving
        self._watch = NOTHING
        self._phase = BUSY
        if body is not None:
            self._held = b"" if end == PyBytes_GET_SIZE(data) else data[end:]
            serving.go(body)
        else:
            self._held = data[arrived.size :]
            self._phase = IN_BODY
            self._body = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>arrived.length)
            self._body_at = 0
            self._wait_for_body()
            serving.go(None)
        return True

    cdef bint _take_body(self) except -1:
        """Take what is held of the body. Returns whether to go on."""
        cdef Py_ssize_t size = min(PyBytes_GET_SIZE(self._held), PyBytes_GET_SIZE(self._body) - self._body_at)
        cdef bytes body
        memcpy(PyBytes_AS_STRING(self._body) + self._body_at, PyBytes_AS_STRING(self._held), size)
        self._body_at += size
        self._held = self._held[size:]
        if self._body_at < PyBytes_GET_SIZE(self._body):
            self._wait_for_body()
            return False
        body, self._body = self._body, None
        self._phase = BUSY
        self._watch = NOTHING
        if self.serving is not None:
            self.serving.body_came(body)
        return True

    cdef int _wait_for_body(self) except -1:
        cdef double until = <double>self._loop.time() + <double>self.settings.body_timeout_s
        return self._watch_at(min(until, <double>self.serving.deadline), BODY_LATE)

    def hold_body(self):
        """Take no more of the body for now; what comes all the same is held, and little of it."""
        self._phase = BUSY
        self._watch = NOTHING

    def release_body(self):
        """Go on with the body."""
        if self._is_lost or self._phase != BUSY:
            return
        self._phase = IN_BODY
        if self._is_paused:
            self._is_paused = False
            self._stop_leave_watch()
            self.transport.resume_reading()
        self._wait_for_body()
        if PyBytes_GET_SIZE(self._held) and not self._is_advancing:
            self._advance()

    @property
    def received_bytes(self):
        """How much has come of a body that has not come as a whole."""
        return self._body_at

    @property
    def has_body(self):
        """Whether the whole body of the request under way has come."""
        return self._body is None

    cdef int _bound_held(self) except -1:
        if PyBytes_GET_SIZE(self._held) >= HELD_BYTES and not self._is_paused and not self._is_lost:
            self._is_paused = True
            self.transport.pause_reading()
            self._leave_watch = self._door.leave_watch(self.transport)  # the loop cannot see a client leave now
        return 0

    cdef int _hand_over(self) except -1:
        cdef bytes data = self._held
        self._held = b""
        self._phase = DISCARDING
        self._watch = NOTHING
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._door.hand_over(self, data)
        return 0

    def taken_over(self, task):
        """From now on a task serves the request under way."""
        self.serving = None
        self.exchange_task = task
        self._watch = NOTHING

    def handled(self, bint is_kept):
        """The request under way has been answered, and its end was told: take the next one, if one may come."""
        self.serving = self.exchange_task = None
        if self._is_lost or self._phase == DISCARDING:  # by now it is being closed
            return
        self._watch = NOTHING
        if self.is_last or not is_kept:
            self.close_now() if self._body is None else self.linger()
            return
        self._phase = IN_HEAD
        self._seen = 0
        self._wait(self.settings.idle_timeout_s, IDLE_OVER)
        if self._is_paused:
            self._is_paused = False
            self._stop_leave_watch()
            self.transport.resume_reading()
        if PyBytes_GET_SIZE(self._held) and not self._is_advancing:
            self._advance()
