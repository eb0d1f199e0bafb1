"""The sink of lines: what it writes, how, and what it counts as lost."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from select import PIPE_BUF, select

import pytest

from headgate.ext.line_sink import MAX_BYTES, MAX_LINES, MAX_TURNS, LineSink

SLOW_S = 10.0
LIMIT_S = 5.0  # more than any of these needs


@pytest.fixture
def sink(sink_type: type[LineSink]) -> Iterator[LineSink]:
    """A sink that writes when it is closed, and seldom before."""
    made = sink_type(SLOW_S)
    yield made
    made.close(LIMIT_S)


@pytest.fixture
def quick(sink_type: type[LineSink]) -> Iterator[LineSink]:
    made = sink_type(0.001)
    yield made
    made.close(0.0)


def opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def eventually(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end_s
        os.sched_yield()


@contextmanager
def pipe(*, capacity: int | None = None, flags: int = 0) -> Iterator[tuple[int, int]]:
    """Make a pipe; the writing end is the sink's."""
    reading, writing = os.pipe2(flags)
    if capacity is not None:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, capacity)
    try:
        yield reading, writing
    finally:
        os.close(reading)


def read_all(fd: int) -> bytes:
    return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))


def fill(fd: int) -> int:
    """Write into a pipe until it takes no more; return how many bytes."""
    os.set_blocking(fd, False)
    number = 0
    try:
        while True:
            number += os.write(fd, b"f" * PIPE_BUF)
    except BlockingIOError:
        return number


def test_what_is_put_is_written_in_its_order_and_the_descriptor_closed(sink: LineSink, tmp_path: Path) -> None:
    fd = opened(tmp_path / "log")
    sink.turn_to(fd)
    lines = [b"%d\n" % number for number in range(5000)]
    for line in lines:
        sink.put(line)
    sink.close(LIMIT_S)
    assert (tmp_path / "log").read_bytes() == b"".join(lines)
    assert sink.num_lost == 0
    with pytest.raises(OSError):
        os.fstat(fd)


def test_it_writes_without_being_closed_and_again_after_a_pause(quick: LineSink) -> None:
    with pipe() as (reading, writing):
        quick.turn_to(writing)
        for number in range(50):
            quick.put(b"%d\n" % number)
            assert os.read(reading, 100) == b"%d\n" % number


def test_a_closed_sink_takes_nothing_and_closes_what_it_is_given(sink: LineSink, tmp_path: Path) -> None:
    sink.close(LIMIT_S)
    sink.put(b"late\n")
    fd = opened(tmp_path / "log")
    sink.turn_to(fd)
    sink.close(LIMIT_S)
    assert (tmp_path / "log").read_bytes() == b""
    assert sink.num_lost == 0
    with pytest.raises(OSError):
        os.fstat(fd)


def test_an_empty_line_is_none(sink: LineSink, tmp_path: Path) -> None:
    sink.turn_to(opened(tmp_path / "log"))
    for line in (b"", b"a\n", b""):
        sink.put(line)
    sink.close(LIMIT_S)
    assert (tmp_path / "log").read_bytes() == b"a\n"


def test_what_is_no_descriptor_is_refused_and_the_one_before_stays(sink: LineSink, tmp_path: Path) -> None:
    sink.turn_to(opened(tmp_path / "log"))
    with pytest.raises(OSError):
        sink.turn_to(-1)
    sink.put(b"a\n")
    sink.close(LIMIT_S)
    assert (tmp_path / "log").read_bytes() == b"a\n"


def test_lines_before_any_descriptor_are_lost(sink: LineSink, tmp_path: Path) -> None:
    sink.put(b"a\n")
    sink.turn_to(opened(tmp_path / "log"))
    sink.put(b"b\n")
    sink.close(LIMIT_S)
    assert (sink.num_lost, (tmp_path / "log").read_bytes()) == (1, b"b\n")


def test_of_lines_there_is_room_for_so_many(sink: LineSink, tmp_path: Path) -> None:
    for _ in range(MAX_LINES + 7):
        sink.put(b"x\n")
    assert sink.num_lost == 7
    sink.turn_to(opened(tmp_path / "log"))  # which has room of its own
    sink.put(b"x\n")
    assert sink.num_lost == 8
    sink.close(LIMIT_S)
    assert sink.num_lost == 8 + MAX_LINES  # they had nowhere to go


def test_of_bytes_there_is_room_for_so_many(sink: LineSink, tmp_path: Path) -> None:
    line = b"x" * ((1 << 16) - 1) + b"\n"
    for _ in range(MAX_BYTES // len(line) + 4):
        sink.put(line)
    assert sink.num_lost == 4
    with pytest.raises(OSError):
        sink.turn_to(opened(tmp_path / "log"))


def test_a_line_longer_than_all_room_is_lost(sink: LineSink, tmp_path: Path) -> None:
    sink.turn_to(opened(tmp_path / "log"))
    sink.put(b"x" * MAX_BYTES + b"\n")
    sink.put(b"a\n")
    sink.close(LIMIT_S)
    assert (sink.num_lost, (tmp_path / "log").read_bytes()) == (1, b"a\n")


def test_of_files_there_is_room_for_so_many(sink: LineSink, tmp_path: Path) -> None:
    for _ in range(MAX_LINES):
        sink.put(b"x\n")
    for _ in range(MAX_TURNS):
        sink.turn_to(opened(tmp_path / "log"))
    fd = opened(tmp_path / "log")
    with pytest.raises(OSError):
        sink.turn_to(fd)
    with pytest.raises(OSError):
        os.fstat(fd)


def test_room_is_given_back(quick: LineSink, tmp_path: Path) -> None:
    """More than there is room for, in lines of all lengths, so that they stand at the end of it in all ways."""
    quick.turn_to(opened(tmp_path / "log"))
    lines = [b"%d" % number + b"x" * (number * 7919 % 150_000) + b"\n" for number in range(200)]
    size = 0

    def is_half_free() -> bool:  # however what waits is laid out in it, a line finds a place then
        return size - (tmp_path / "log").stat().st_size < MAX_BYTES // 2

    for line in lines:
        eventually(is_half_free)
        quick.put(line)
        size += len(line)
    quick.close(LIMIT_S)
    assert quick.num_lost == 0
    assert (tmp_path / "log").read_bytes() == b"".join(lines)
    assert size > 3 * MAX_BYTES // 2


def test_a_pipe_gets_whole_lines_of_a_bounded_size(sink: LineSink) -> None:
    with pipe(capacity=1 << 20, flags=os.O_DIRECT) as (reading, writing):
        sink.turn_to(writing)
        lines = [b"%d " % number + b"x" * (number * 37 % 3000) + b"\n" for number in range(150)]
        for line in lines:
            sink.put(line)
        assert not select([reading], [], [], 0)[0]  # others may come
        sink.close(LIMIT_S)
        writes = list(iter(lambda: os.read(reading, PIPE_BUF), b""))
    assert b"".join(writes) == b"".join(lines)
    assert all(write.endswith(b"\n") for write in writes)
    assert all(len(a) + len(b[: b.index(b"\n") + 1]) > PIPE_BUF for a, b in pairwise(writes))


def test_a_line_longer_than_what_a_pipe_takes_at_once_is_written(sink: LineSink) -> None:
    with pipe() as (reading, writing):
        sink.turn_to(writing)
        line = b"x" * 300_000 + b"\n"
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(read_all(reading)))
        reader.start()
        for each in (b"a\n", line, b"b\n"):
            sink.put(each)
        sink.close(LIMIT_S)
        reader.join()
    assert got == [b"a\n" + line + b"b\n"]


def test_a_pipe_that_nobody_reads_holds_nobody_up(quick: LineSink) -> None:
    with pipe() as (reading, writing):
        held = fill(writing)
        os.set_blocking(writing, True)
        quick.turn_to(writing)
        for _ in range(MAX_LINES + 500):
            quick.put(b"x\n")
        assert 0 < quick.num_lost <= 501
        begin_s = time.monotonic()
        quick.close(0.05)
        assert time.monotonic() - begin_s < LIMIT_S
        kept = MAX_LINES + 500 - quick.num_lost
        assert read_all(reading) == b"f" * held + b"x\n" * kept  # all the same, where the process lives on


def test_a_pipe_that_nobody_reads_and_that_does_not_wait_is_given_up_when_it_is_closed(quick: LineSink) -> None:
    with pipe() as (reading, writing):
        held = fill(writing)
        quick.turn_to(writing)
        for _ in range(100):
            quick.put(b"x\n")
        quick.close(0.05)
        eventually(lambda: quick.num_lost == 100)
        assert read_all(reading) == b"f" * held


def test_a_pipe_that_does_not_wait_is_waited_for(quick: LineSink) -> None:
    with pipe() as (reading, writing):
        held = fill(writing)
        quick.turn_to(writing)
        lines = [b"%d\n" % number for number in range(3000)]
        for line in lines:
            quick.put(line)
        got = b""
        while len(got) < held + len(b"".join(lines)):
            got += os.read(reading, 1 << 16)
        assert got == b"f" * held + b"".join(lines)
        assert quick.num_lost == 0


def test_a_socket_takes_a_line_in_parts(quick: LineSink) -> None:
    near, far = socket.socketpair()
    with far:
        near.setblocking(False)
        quick.turn_to(near.detach())
        line = b"x" * 3_000_000 + b"\n"
        quick.put(line)
        quick.put(b"a\n")
        got = b""
        while len(got) < len(line) + 2:
            got += far.recv(1 << 20)
        assert (got, quick.num_lost) == (line + b"a\n", 0)


def test_what_a_reader_that_is_gone_did_not_take_is_counted(sink: LineSink, tmp_path: Path) -> None:
    with pipe() as (_, writing):
        sink.turn_to(writing)
    for _ in range(2000):
        sink.put(b"x" * 50 + b"\n")
    sink.turn_to(opened(tmp_path / "log"))
    sink.put(b"a\n")
    sink.close(LIMIT_S)
    assert (sink.num_lost, (tmp_path / "log").read_bytes()) == (2000, b"a\n")


def test_of_what_a_full_disk_took_in_part_the_rest_is_counted(sink: LineSink, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sink.turn_to(opened(tmp_path / "log"))
    for _ in range(1000):
        sink.put(b"x" * 99 + b"\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_345, before[1]))
    try:
        sink.close(LIMIT_S)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ((tmp_path / "log").stat().st_size, sink.num_lost) == (12_345, 1000 - 123)


def test_each_line_is_in_the_file_that_was_turned_to_before_it(quick: LineSink, tmp_path: Path) -> None:
    for number in range(50):
        quick.turn_to(opened(tmp_path / f"{number}"))
        for line in range(number):
            quick.put(b"%d %d\n" % (number, line))
    quick.close(LIMIT_S)
    for number in range(50):
        expected = b"".join(b"%d %d\n" % (number, line) for line in range(number))
        assert (tmp_path / f"{number}").read_bytes() == expected


def test_threads_may_put_at_once(quick: LineSink, tmp_path: Path) -> None:
    quick.turn_to(opened(tmp_path / "log"))

    def put(thread: int) -> None:
        for number in range(2000):
            quick.put(b"%d %d\n" % (thread, number))

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    quick.close(LIMIT_S)
    found = [tuple(map(int, line.split())) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert [[number for of, number in found if of == thread] for thread in range(4)] == [list(range(2000))] * 4
