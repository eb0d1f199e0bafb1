"""The end of a body of known length."""

from __future__ import annotations

from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 50)), st.integers(0, 200))
def test_a_body_ends_at_its_length_however_it_is_split(http1: ModuleType, sizes: list[int], length: int) -> None:
    scanner = http1.LengthScanner(length)
    taken = 0
    for size in sizes:
        assert scanner.is_complete is (taken == length)
        part = scanner.feed(b"x" * size)
        assert part == min(size, length - taken)
        taken += part
    assert taken == min(sum(sizes), length)
    assert scanner.is_complete is (taken == length)


def test_gives_the_bytes_of_the_body_and_large_ones_uncopied(http1: ModuleType) -> None:
    scanner, data = http1.LengthScanner(100_003), bytes(100_000)
    found, size = scanner.decode(data)
    assert found is data
    assert size == len(data)
    assert scanner.decode(b"abcd") == (b"abc", 3)
    assert scanner.is_complete
    assert scanner.decode(b"d") == (b"", 0)
