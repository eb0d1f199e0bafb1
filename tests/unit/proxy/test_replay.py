"""The request body, kept while it may be sent again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.exchange.replay import ReplayBuffer

bodies = st.lists(st.binary(min_size=1, max_size=6), max_size=8)


def read(buffer: ReplayBuffer) -> bytes:
    pieces: list[bytes] = []
    while (piece := buffer.piece(len(pieces))) is not None:
        pieces.append(piece)
    return b"".join(pieces)


@given(bodies, st.integers(1, 4))
def test_up_to_the_limit_any_number_of_readers_get_it_all(pieces: list[bytes], num_readers: int) -> None:
    body = b"".join(pieces)
    buffer = ReplayBuffer(len(body))
    for piece in pieces:
        buffer.append(piece)
    buffer.finish()
    assert (buffer.is_replayable, buffer.is_complete, buffer.size_bytes) == (True, True, len(body))
    assert [read(buffer) for _ in range(num_readers)] == [body] * num_readers
    assert buffer.joined() == body
    assert read(buffer) == body


@given(bodies.filter(bool), st.data())
def test_past_the_limit_one_reader_gets_it_all_and_nothing_handed_out_is_kept(
    pieces: list[bytes], data: st.DataObject
) -> None:
    size = sum(map(len, pieces))
    limit = data.draw(st.integers(0, size - 1))
    buffer = ReplayBuffer(limit)
    got: list[bytes] = []
    held = 0
    for piece in pieces:
        buffer.append(piece)
        held += len(piece)
        if data.draw(st.booleans()) and (taken := buffer.piece(len(got))) is not None:
            got.append(taken)
    while (taken := buffer.piece(len(got))) is not None:
        got.append(taken)
    assert b"".join(got) == b"".join(pieces)
    assert (buffer.is_replayable, buffer.size_bytes) == (False, size)
    # Whoever begins again, or wants it whole, is told that the beginning is gone.
    with pytest.raises(LookupError):
        buffer.piece(0)
    with pytest.raises(LookupError):
        buffer.joined()


def test_what_has_not_come_yet_is_none_and_a_handed_out_piece_is_dropped() -> None:
    buffer = ReplayBuffer(3)
    assert buffer.piece(0) is None
    buffer.append(b"abc")
    assert (buffer.piece(0), buffer.piece(0), buffer.piece(1)) == (b"abc", b"abc", None)
    buffer.append(b"d")  # now it streams
    assert not buffer.is_replayable
    assert buffer.piece(1) == b"d"
    with pytest.raises(LookupError, match="piece 0"):
        buffer.piece(0)
    assert buffer.piece(2) is None


@pytest.mark.parametrize(("data", "is_replayable"), [(b"", True), (b"abc", True), (b"abcd", False)])
def test_a_replaced_body_stands_in_place_of_the_old_one(data: bytes, is_replayable: bool) -> None:
    buffer = ReplayBuffer(3)
    buffer.append(b"xyz")
    buffer.replace(data)
    assert (buffer.size_bytes, buffer.is_complete, buffer.is_replayable) == (len(data), True, is_replayable)
    assert buffer.joined() == data
    assert read(buffer) == data
