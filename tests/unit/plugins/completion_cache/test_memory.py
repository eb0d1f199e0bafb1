"""The store keeps within its budget."""

from __future__ import annotations

import gc
import tracemalloc

from headgate.plugins.completion_cache.entry import ENTRY_BYTES, Content, Entry, Key
from headgate.plugins.completion_cache.memory import Memory

from .answers import chat


def entry(number: int, body: bytes = b"x" * 100, *, is_stream: bool = False) -> Entry:
    digest = number.to_bytes(32, "big")
    content = Content(is_stream, b"application/json", body)
    return Entry(Key(digest, f"tenant-{number}", "main"), content, 0.5 - number, 10.0 + number, 20.0 + number)


def test_what_an_entry_costs_is_counted() -> None:
    memory = Memory(1 << 26, "s3fifo")
    number = 2000
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for each in range(number):
            memory.put(entry(each, b"x" * (100 + each % 7)), 0.0, is_renewing=False)
        used = (tracemalloc.get_traced_memory()[0] - before) / number
    finally:
        tracemalloc.stop()
    assert used - 103 < ENTRY_BYTES + 20


def test_budget_is_kept_and_a_quarter_of_it_may_be_reserved() -> None:
    memory = Memory(20_000, "lru")
    assert memory.reserve(5000, 0.0) and not memory.reserve(1, 0.0)
    for number in range(50):
        memory.put(entry(number), 0.0, is_renewing=False)
        assert memory.used_bytes <= 20_000
    assert 1 < len(memory) < 50
    assert not memory.put(entry(1, b"x" * 16_000), 0.0, is_renewing=False)
    memory.release(5000)
    memory.resize(5000)
    assert memory.used_bytes <= 5000 and len(memory) > 0


def test_each_form_has_its_place_until_it_is_renewed() -> None:
    memory, key = Memory(1 << 20, "lru"), entry(1).key
    memory.put(entry(1), 0.0, is_renewing=False)
    memory.put(entry(1, chat(), is_stream=True), 0.0, is_renewing=False)
    assert memory.get(key, 1.0, is_stream=True) is not None and memory.get(key, 1.0, is_stream=False) is not None
    memory.put(entry(1), 2.0, is_renewing=True)
    assert memory.get(key, 3.0, is_stream=True) is None and memory.get(key, 3.0, is_stream=False) is not None
    assert memory.get(key, 21.0, is_stream=False) is None
