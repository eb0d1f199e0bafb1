"""Writes lines to where they go, on a thread of its own."""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from select import PIPE_BUF
from threading import Thread
from typing import BinaryIO

MAX_QUEUED = 10_000
GATHER_S = 0.005  # how long a line may wait for others: to wake the thread costs as much as to write many lines
_TAKEN_LINES = 256
_TURN = b""  # stands in the queue where the next of the files begins
_CLOSE_S = 1.0


class LineWriter:
    """Writes lines to standard output (`-`), to a file, or nowhere (`off`).

    Lines are handed to a thread, so that a slow disk or an unread pipe never holds anybody up; what does not fit into
    its queue of `MAX_QUEUED` lines is counted in `num_lost`. A file is opened for appending and reopened by `reopen`,
    so that it can be rotated.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._queue: deque[bytes] = deque()
        self._files: deque[BinaryIO] = deque()  # one for each _TURN in the queue
        # Not an Event: the thread could be held up while it holds the lock of one, and whoever puts a line then, too.
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._is_told = False  # the thread has yet to look: the bell need not be rung
        self._last_bell: SimpleQueue[None] = SimpleQueue()
        self._thread: Thread | None = None
        self._num_refused = self._num_failed = 0  # each counted by one thread alone
        self.reopen()

    @property
    def is_on(self) -> bool:
        """Whether lines are written at all."""
        return self._thread is not None

    @property
    def num_lost(self) -> int:
        """How many lines found no place in the queue, or could not be written."""
        return self._num_refused + self._num_failed

    def reopen(self) -> None:
        """Open the destination (anew). Raises: OSError; then the one before stays."""
        if self._destination == "off" or (self._destination == "-" and self._thread is not None):
            return
        # The thread changes over when it has written what came before: no line is torn between two files.
        self._files.append(sys.stdout.buffer if self._destination == "-" else _opened(self._destination))
        self._queue.append(_TURN)
        self._bell.put(None)
        if self._thread is None:
            self._thread = Thread(target=self._run, name="access log", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what is queued, for at most a second, and close the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._last_bell.put(None)
            self._bell.put(None)
            thread.join(_CLOSE_S)

    def put(self, line: bytes) -> None:
        """Queue a line, which ends in a line feed."""
        if self._thread is None:
            return
        if len(self._queue) >= MAX_QUEUED:
            self._num_refused += 1
            return
        self._queue.append(line)
        if not self._is_told:
            self._is_told = True
            self._bell.put(None)

    def _run(self) -> None:
        file: BinaryIO | None = None
        is_last = False
        while not is_last:
            self._bell.get()
            is_last = self._gather()
            self._is_told = False  # before the queue is looked at: what comes later rings again
            while lines := self._take():
                file = self._write_all(file, lines)
        self._leave(file)

    def _gather(self) -> bool:
        """Let others come; return whether none will."""
        try:
            self._last_bell.get(timeout=GATHER_S)
        except Empty:
            return False
        return True

    def _take(self) -> list[bytes]:
        popleft = self._queue.popleft
        return [popleft() for _ in range(min(len(self._queue), _TAKEN_LINES))]

    def _write_all(self, file: BinaryIO | None, lines: list[bytes]) -> BinaryIO | None:
        """Write lines, and return the file that is open after them."""
        while self._files and _TURN in lines:
            turn = lines.index(_TURN)
            self._write(file, lines[:turn])
            self._leave(file)
            file, lines = self._files.popleft(), lines[turn + 1 :]
        self._write(file, lines)
        return file

    def _write(self, file: BinaryIO | None, lines: list[bytes]) -> None:
        if file is None or not lines:
            return
        for block in _blocks(lines) if not _is_regular(file) else (lines,):
            try:
                file.write(b"".join(block))
                file.flush()
            except (OSError, ValueError):
                self._num_failed += len(block)  # a full disk must not cost a client its answer

    def _leave(self, file: BinaryIO | None) -> None:
        if file is not None and self._destination != "-":
            file.close()


def _blocks(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of each write: as many as a pipe takes without tearing them, whoever else writes into it."""
    start = size = 0
    for at, line in enumerate(lines):
        if size and size + len(line) > PIPE_BUF:
            yield lines[start:at]
            start, size = at, 0
        size += len(line)
    yield lines[start:]


def _is_regular(file: BinaryIO) -> bool:
    """Whether it is a file, which takes any number of lines whole; each write costs a wait for the interpreter."""
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):  # no file, or a closed one: the write will tell
        return False


def _opened(path: str) -> BinaryIO:
    return open(path, "ab", buffering=0)
