"""The memory that workers have in common."""

from __future__ import annotations

import fcntl
import logging
import os

import pytest

from headgate.proxy.counting import own_memory
from headgate.proxy.workers.memories import MAX_MEMORIES, Memories


def inode(descriptor: int | None) -> int:
    assert descriptor is not None
    return os.fstat(descriptor).st_ino


def test_a_name_and_a_size_have_one_memory() -> None:
    memories = Memories()
    first = memories.get("a", 4096)
    assert inode(first) == inode(memories.get("a", 4096))
    assert len({inode(memories.get(*each)) for each in (("a", 4096), ("a", 8192), ("b", 4096))}) == 3
    assert len(memories) == 3


def test_it_is_empty_and_keeps_its_size() -> None:
    descriptor = own_memory("", 5000)
    try:
        assert os.pread(descriptor, 6000, 0) == bytes(5000)
        for size in (4000, 6000):
            with pytest.raises(PermissionError):
                os.truncate(descriptor, size)
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    finally:
        os.close(descriptor)


def test_they_are_bounded_and_those_in_use_stay() -> None:
    memories = Memories()
    kept = inode(memories.get("kept", 8))
    num_before = len(os.listdir("/proc/self/fd"))
    for number in range(2 * MAX_MEMORIES):
        memories.get(f"memory {number}", 8)
        assert inode(memories.get("kept", 8)) == kept
    assert len(memories) == MAX_MEMORIES
    assert len(os.listdir("/proc/self/fd")) == num_before + MAX_MEMORIES - 1


def test_memory_that_there_is_not_is_told(caplog: pytest.LogCaptureFixture) -> None:
    memories = Memories()
    with caplog.at_level(logging.ERROR, "headgate"):
        assert memories.get("a", -1) is None
    assert "expected -1 bytes of memory for a, got none" in caplog.text
    assert len(memories) == 0
