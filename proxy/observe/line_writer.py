"""Writes lines to where they go, on a thread of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ...ext.line_sink import MAX_LINES, LineSink

MAX_QUEUED = MAX_LINES
GATHER_S = 0.005  # how long a line may wait for others
_CLOSE_S = 1.0


class LineWriter:
    """Writes lines to standard output (`-`), to a file, or nowhere (`off`).

    Lines are handed to a thread, so that a slow disk or an unread pipe never holds anybody up; what does not fit into
    its queue of `MAX_QUEUED` lines, 8 MiB together, is counted in `num_lost`. A file is opened for appending and
    reopened by `reopen`, so that it can be rotated.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._sink: LineSink | None = None
        #: Whether lines are written at all.
        self.is_on = False
        #: Queues a line, which ends in a line feed.
        self.put: Callable[[bytes], None] = _leave
        self.reopen()

    @property
    def num_lost(self) -> int:
        """How many lines found no place in the queue, or could not be written."""
        return self._sink.num_lost if self._sink is not None else 0

    def reopen(self) -> None:
        """Open the destination (anew). Raises: OSError; then the one before stays."""
        if self._destination == "off" or (self._destination == "-" and self._sink is not None):
            return
        fd = os.dup(sys.stdout.fileno()) if self._destination == "-" else _opened(self._destination)
        if self._sink is None:
            self._sink = LineSink(GATHER_S)
            self.put = self._sink.put
            self.is_on = True
        # The thread changes over when it has written what came before: no line is torn between two files.
        self._sink.turn_to(fd)

    def close(self) -> None:
        """Write what is queued, for at most a second, and close the file."""
        self.is_on = False
        if self._sink is not None:
            self._sink.close(_CLOSE_S)


def _leave(line: bytes) -> None:
    """Take a line that goes nowhere."""


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
