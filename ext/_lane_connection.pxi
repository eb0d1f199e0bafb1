# A client's connection: who is told what becomes of it, its one timer, and its ends.

cdef enum ClientPhase:
    IN_HEAD
    IN_BODY
    BUSY
    DISCARDING

cdef enum Watch:  # what it means when the time is up
    NOTHING
    IDLE_OVER
    HEAD_LATE
    BODY_LATE
    SERVING_DUE
    CLOSE_DUE
    RESET_DUE

cdef enum:
    HELD_BYTES = 65536  # with so much behind the request under way no more is read
    WRITE_BUFFER_BYTES = 65536

cdef double LINGER_S = 1.0


cdef class Connection:
    """A connection on which somebody serves. `door` (headgate.proxy.lane) answers what is not for it to decide.

    One timer is armed, and only where it would be late: while the instant moves away it is left alone and looks again
    when it fires.
    """

    cdef readonly object transport
    cdef readonly object settings
    cdef readonly object serving
    cdef public object exchange_task
    cdef public bint is_last
    cdef public bint is_cut
    cdef readonly bint writing_paused
    cdef readonly str peer_address
    cdef object _door, _loop, _handle, _flushed, _leave_watch
    cdef int _phase, _watch
    cdef double _due, _armed_for
    cdef bint _is_lost, _is_paused

    # -- refusals and the end

    def refuse(self, error):
        """Answer outside any exchange, then close without resetting what the client still has to read."""
        self._watch = NOTHING
        self.transport.write(self._door.refusal(self, error))
        self.linger()

    def linger(self):
        """Close once the client has read: after a plain close what it still sends would reset the connection."""
        self._phase = DISCARDING
        self.is_last = True
        if self._is_lost or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._resume_for_end()
        self._wait(LINGER_S, CLOSE_DUE)

    def close_now(self):
        """Close the connection; what is already written is still sent, for as long as a client may take to read."""
        self._phase = DISCARDING
        self.is_last = True
        if not self._is_lost:
            self._wait(self.settings.write_timeout_s, RESET_DUE)
            self.transport.close()

    def reset(self):
        """Abort the connection so that the client cannot take a cut answer for a whole one."""
        self._phase = DISCARDING
        self.is_last = True
        if not self._is_lost:
            self._door.reset(self.transport)

    def force_close(self):
        """Close at once."""
        self.close_now()

    def drain(self):
        """Close now if no request is under way, else after its answer."""
        self.is_last = True
        if self.is_idle and not self._is_lost:
            self.close_now()

    @property
    def is_idle(self):
        """Whether no exchange runs here."""
        return self.serving is None and self.exchange_task is None

    cdef int _resume_for_end(self) except -1:
        if self._is_paused:
            self._is_paused = False
            self._stop_leave_watch()
            self.transport.resume_reading()
        return 0

    cdef int _stop_leave_watch(self) except -1:
        if self._leave_watch is not None:
            self._leave_watch.stop()
            self._leave_watch = None
        return 0

    # -- waiting

    async def drained(self):
        """Wait until the client has read enough. Raises: ConnectionError once it is gone."""
        while self.writing_paused and not self._is_lost:
            self._flushed = self._loop.create_future()
            await self._flushed
        if self._is_lost:
            raise ConnectionResetError("the client is gone")

    cdef int _wake(self) except -1:
        flushed, self._flushed = self._flushed, None
        if flushed is not None and not flushed.done():
            flushed.set_result(None)
        return 0

    def flush_soon(self):
        """From now on `drained` waits until every byte has left."""
        if not self._is_lost:
            self.transport.set_write_buffer_limits(high=0)

    def call_serving_at(self, double instant):
        """Call `expired` of who serves at an instant of the loop's clock, or never for infinity."""
        self._watch_at(instant, SERVING_DUE)

    cdef int _wait(self, double delay_s, int watch) except -1:
        return self._watch_at(<double>self._loop.time() + delay_s, watch)

    cdef int _watch_at(self, double instant, int watch) except -1:
        self._due = instant
        self._watch = watch
        if instant == float("inf"):
            self._watch = NOTHING
        elif self._handle is None or instant < self._armed_for:
            if self._handle is not None:
                self._handle.cancel()
            self._armed_for = instant
            self._handle = self._loop.call_at(instant, self._fire)
        return 0

    def _fire(self):
        cdef int watch = self._watch
        self._handle = None
        if watch == NOTHING:
            return
        if self._due > <double>self._loop.time():
            self._watch_at(self._due, watch)
            return
        self._watch = NOTHING
        if watch == SERVING_DUE:
            if self.serving is not None:
                self.serving.expired()
        elif watch == BODY_LATE:
            if self.serving is not None:
                self.serving.body_late()
        elif watch == HEAD_LATE:
            self.refuse(self._door.head_late())
        elif watch == RESET_DUE:
            self.reset()
        else:
            self.close_now()
