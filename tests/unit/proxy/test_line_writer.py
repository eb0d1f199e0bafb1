"""The thread that writes lines: what it writes at once, what it counts as lost, and that it ends with nothing left."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from headgate.proxy.observe.line_writer import MAX_QUEUED, LineWriter

SLOW_S = 10.0


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_what_comes_while_it_gathers_is_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being woken again: whoever puts a line has nothing to do but to queue it."""
    monkeypatch.setattr("headgate.proxy.observe.line_writer.GATHER_S", SLOW_S)
    writer = LineWriter(str(tmp_path / "log"))
    lines = [b"%d\n" % number for number in range(200)]
    for line in lines:
        writer.put(line)
    assert (tmp_path / "log").read_bytes() == b""
    writer.close()  # which does not wait for others
    assert lines_of(tmp_path / "log") == lines


def test_a_line_by_itself_does_not_wait_for_another(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = LineWriter(str(tmp_path / "pipe"))
    try:
        os.set_blocking(reading, True)
        for number in range(20):
            writer.put(b"%d\n" % number)
            assert os.read(reading, 100) == b"%d\n" % number
    finally:
        writer.close()
        os.close(reading)


def test_lines_of_several_threads_are_all_written_each_threads_in_order(tmp_path: Path) -> None:
    writer = LineWriter(str(tmp_path / "log"))
    num_threads, num_lines = 4, 2000

    def put(thread: int) -> None:
        for number in range(num_lines):
            writer.put(b"%d %d\n" % (thread, number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    found = [tuple(map(int, line.split())) for line in lines_of(tmp_path / "log")]
    assert writer.num_lost == 0
    assert [[number for of, number in found if of == thread] for thread in range(num_threads)] == [
        list(range(num_lines))
    ] * num_threads


def test_what_cannot_be_written_is_counted_to_the_line() -> None:
    writer = LineWriter("/dev/full")
    for _ in range(1234):
        writer.put(b"x" * 99 + b"\n")
    writer.close()
    assert writer.num_lost == 1234


def test_what_does_not_fit_is_counted_to_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate.proxy.observe.line_writer.GATHER_S", SLOW_S)
    writer = LineWriter(str(tmp_path / "log"))  # gathers: the queue holds the turn to its file, and lines
    for number in range(MAX_QUEUED + 500):
        writer.put(b"%d\n" % number)
    assert writer.num_lost == 501
    writer.close()
    assert lines_of(tmp_path / "log") == [b"%d\n" % number for number in range(MAX_QUEUED - 1)]
    writer.put(b"late\n")
    assert writer.num_lost == 501


def test_each_line_stands_in_the_file_that_was_open_when_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.proxy.observe.line_writer.GATHER_S", SLOW_S)
    writer = LineWriter(str(tmp_path / "log"))
    for number in range(5):
        for line in range(100 * number):
            writer.put(b"%d %d\n" % (number, line))
        (tmp_path / "log").rename(tmp_path / f"log.{number}")
        writer.reopen()
    writer.close()
    for number in range(5):
        assert lines_of(tmp_path / f"log.{number}") == [b"%d %d\n" % (number, line) for line in range(100 * number)]
    assert (tmp_path / "log").read_bytes() == b""
