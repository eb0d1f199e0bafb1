"""Lines written by a thread of their own, in pure Python: the specification of the compiled sink."""

from __future__ import annotations

import errno
import math
import os
import select
import stat
import time
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from queue import Empty, SimpleQueue
from threading import Thread

MAX_LINES = 10_000
MAX_TURNS = 64
MAX_BYTES = 1 << 23
BLOCK_BYTES = 1 << 18
_TAKEN_LINES = 256
_LOOK_S = 0.05  # how often a thread that waits for room sees whether it still should

_Turn = tuple[int, bool]  # the descriptor of the lines behind it, and whether it is a regular file


class LineSink:
    """Writes lines to one descriptor after the other, on a thread of its own that nobody waits for.

    Of those that wait to be written there are at most `MAX_LINES` with `MAX_BYTES`; what finds no place, or cannot be
    written, is counted in `num_lost`, line by line. The thread is woken for the first line and lets others come for
    `gather_s`, since to wake it costs as much as to write many lines. What is no regular file gets whole lines of at
    most PIPE_BUF in one write, which a pipe does not tear, whoever else writes into it (POSIX, write()); a longer line
    is written by itself. A file gets up to `BLOCK_BYTES`.
    """

    __slots__ = (
        *("_bell", "_end_s", "_fd", "_gather_s", "_is_closed", "_is_file", "_is_told", "_last_bell", "_num_failed"),
        *("_num_refused", "_put_bytes", "_queue", "_taken_bytes", "_thread"),
    )

    def __init__(self, gather_s: float) -> None:
        """Start the thread. Raises: RuntimeError where the system has no more of them."""
        self._gather_s = gather_s
        self._queue: deque[bytes | _Turn] = deque()
        # Not an Event: the thread could be held up while it holds the lock of one, and whoever puts a line then, too.
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._is_told = False  # the thread has yet to look: the bell need not be rung
        self._last_bell: SimpleQueue[None] = SimpleQueue()
        self._num_refused = self._num_failed = self._put_bytes = self._taken_bytes = 0  # each counted by one thread
        self._fd = -1
        self._is_file = self._is_closed = False
        self._end_s = math.inf  # until then a thread waits for room
        self._thread = Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    @property
    def num_lost(self) -> int:
        """How many lines found no place, or could not be written."""
        return self._num_refused + self._num_failed

    def put(self, line: bytes) -> None:
        """Take a line, which ends in a line feed; once the sink is closed: leave it. Cost: one copy."""
        if self._is_closed or not line:
            return
        if len(self._queue) >= MAX_LINES or not self._add(line, len(line)):
            self._num_refused += 1

    def turn_to(self, fd: int) -> None:
        """Write what comes from now on to `fd`, which is the sink's own from here on: it closes it.

        Raises: OSError where it is no descriptor, and where too much waits to be written; then what comes goes where it
        went before.
        """
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        if self._is_closed:
            os.close(fd)
        elif len(self._queue) >= MAX_LINES + MAX_TURNS or not self._add((fd, is_file), 1):
            os.close(fd)
            raise OSError(errno.ENOBUFS, "expected room for another file, got too many lines that wait to be written")

    def close(self, limit_s: float) -> None:
        """Write what was taken, for so long at most. What cannot be written at once is not waited for any longer."""
        if not self._is_closed:
            self._end_s = time.monotonic() + limit_s
            self._is_closed = True
            self._last_bell.put(None)
            self._bell.put(None)
        self._thread.join(limit_s)

    def _add(self, item: bytes | _Turn, size: int) -> bool:
        """Take what has a place, and wake the thread."""
        if self._put_bytes - self._taken_bytes + size > MAX_BYTES:
            return False
        self._put_bytes += size
        self._queue.append(item)
        if not self._is_told:
            self._is_told = True
            self._bell.put(None)
        return True

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._bell.get()
            is_last = self._gather()
            self._is_told = False  # before the queue is looked at: what comes later rings again
            while taken := self._take():
                self._write_all(taken)
        self._leave()

    def _gather(self) -> bool:
        """Let others come; return whether none will."""
        try:
            self._last_bell.get(timeout=self._gather_s)
        except Empty:
            return False
        return True

    def _take(self) -> list[bytes | _Turn]:
        popleft = self._queue.popleft
        return [popleft() for _ in range(min(len(self._queue), _TAKEN_LINES))]

    def _write_all(self, taken: list[bytes | _Turn]) -> None:
        lines: list[bytes] = []
        for item in taken:
            if isinstance(item, bytes):
                lines.append(item)
                continue
            self._write(lines)
            lines = []
            self._leave()
            self._fd, self._is_file = item
            self._taken_bytes += 1
        self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        for block in _blocks(lines, BLOCK_BYTES if self._is_file else select.PIPE_BUF):
            data = b"".join(block)
            num_done = self._write_block(data)
            self._num_failed += sum(end > num_done for end in accumulate(map(len, block)))
            self._taken_bytes += len(data)

    def _write_block(self, data: bytes) -> int:
        """Write to the descriptor; return how many bytes it took: a full disk must not cost a client its answer."""
        num_done, whole = 0, memoryview(data)
        while num_done < len(data):
            try:
                num_done += os.write(self._fd, whole[num_done:])
            except BlockingIOError:
                if not self._comes_room():
                    break
            except OSError:
                break
        return num_done

    def _comes_room(self) -> bool:
        """Wait until a descriptor that does not wait by itself takes more; return whether that came."""
        room = select.poll()
        room.register(self._fd, select.POLLOUT)
        while not room.poll(_LOOK_S * 1000):
            if time.monotonic() >= self._end_s:
                return False
        return True

    def _leave(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _blocks(lines: list[bytes], most_bytes: int) -> Iterator[list[bytes]]:
    """Yield the lines of each write: as many as it may have."""
    start = size = 0
    for at, line in enumerate(lines):
        if size and size + len(line) > most_bytes:
            yield lines[start:at]
            start, size = at, 0
        size += len(line)
    if lines:
        yield lines[start:]
