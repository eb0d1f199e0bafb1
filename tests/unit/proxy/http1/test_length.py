"""The end of a body of known length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.http1.length import LengthScanner


@given(st.lists(st.integers(1, 50)), st.integers(0, 200))
def test_a_body_ends_at_its_length_however_it_is_split(sizes: list[int], length: int) -> None:
    scanner = LengthScanner(length)
    taken = 0
    for size in sizes:
        assert scanner.is_complete is (taken == length)
        part = scanner.feed(b"x" * size)
        assert part == min(size, length - taken)
        taken += part
    assert taken == min(sum(sizes), length)
    assert scanner.is_complete is (taken == length)
