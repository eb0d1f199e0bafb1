"""An answer on its way into the cache: what is kept of it, and when it is let go."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from headgate.plugins.cache.entry import Entry
from headgate.plugins.cache.filling import Filling, Policy, Wanted
from headgate.plugins.cache.flight import Flight, Flights
from headgate.plugins.cache.key import Key, Uri
from headgate.plugins.cache.memory import Memory
from headgate.plugins.cache.shelf import OpenFillings, Shelf
from headgate.plugins.cache.vary import Selector
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response

from .stand import EPOCH

KEY = Key(Uri("https", "origin.test", "/a"), "main", None, ())
FRESH = ((b"Cache-Control", b"max-age=60"),)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def answer(*fields: tuple[bytes, bytes], status: int = 200, length: int | None = None) -> Response:
    """A streamed answer, of which the test writes the body."""
    return Response(status, Fields(fields or FRESH), _nothing(), length)


@dataclass
class Bench:
    """A shelf, and the instant that its clocks show."""

    shelf: Shelf
    now: float = 100.0

    def filling(
        self, flight: Flight | None = None, *, max_entry_bytes: int = 10_000, is_conditional: bool = False
    ) -> Filling:
        policy = Policy(max_entry_bytes, False, None, False)
        wanted = Wanted(KEY, Selector(Fields(), ()), self.now, lambda: self.now, policy, is_conditional)
        return Filling(self.shelf, wanted, flight)

    def is_clean(self) -> bool:
        shelf = self.shelf
        return (shelf.memory.reserved_bytes, len(shelf.open), len(shelf.flights)) == (0, 0, 0)


@pytest.fixture
def bench() -> Bench:
    return Bench(Shelf(Memory(1 << 20, 4, "s3fifo"), Flights(4), OpenFillings(), lambda: EPOCH))


def test_whole_answer_is_stored(bench: Bench) -> None:
    filling = bench.filling()
    assert filling.begin(answer())
    assert filling.write(b"one ")
    assert filling.write(b"two")
    assert bench.shelf.memory.reserved_bytes == 7
    filling.commit()
    assert [entry.body for entry in bench.shelf.memory] == [b"one two"]
    assert bench.is_clean()


def test_discarded_answer_leaves_nothing(bench: Bench) -> None:
    filling = bench.filling()
    filling.begin(answer())
    filling.write(b"one")
    filling.discard()
    assert len(bench.shelf.memory) == 0
    assert bench.is_clean()


def test_too_large_answer_is_refused_by_its_length(bench: Bench) -> None:
    filling = bench.filling()
    assert not filling.begin(answer(length=10_000))
    assert filling.reason == "too-large"
    assert bench.is_clean()
    filling.discard()


def test_too_large_answer_is_let_go_at_the_piece_that_is_too_much(bench: Bench) -> None:
    filling = bench.filling(bench.shelf.flights.lead("flight", bench.now))
    assert filling.begin(answer())
    assert filling.write(bytes(8_000))
    assert not filling.write(bytes(2_000))
    assert bench.is_clean()
    assert bench.shelf.flights.is_marked("flight", bench.now)
    assert not filling.write(b"more")
    filling.commit()
    assert len(bench.shelf.memory) == 0


def test_answers_being_collected_share_a_quarter_of_the_budget(bench: Bench) -> None:
    bench.shelf.memory.rebound(64_000, 4, "s3fifo")
    fillings = [bench.filling() for _ in range(3)]
    assert all(filling.begin(answer()) for filling in fillings)
    assert [filling.write(bytes(7_000)) for filling in fillings] == [True, True, False]
    assert fillings[2].reason == "no-room"
    for filling in fillings:
        filling.commit()
    assert len(bench.shelf.memory) == 1  # each of the two replaced the one before
    assert bench.is_clean()


def test_collected_bytes_are_not_counted_twice(bench: Bench) -> None:
    memory = bench.shelf.memory
    memory.rebound(44_000, 4, "s3fifo")
    other = Entry(KEY._replace(route="other"), (), 200, (), bytes(22_000), bench.now, 0.0, 60.0)
    memory.put(other, bench.now)
    filling = bench.filling(max_entry_bytes=20_000)
    filling.begin(answer())
    assert filling.write(bytes(11_000))
    filling.commit()
    assert len(memory) == 2


def test_tiny_pieces_cost_their_bytes(bench: Bench) -> None:
    filling = bench.filling(max_entry_bytes=200_000)
    filling.begin(answer())
    pieces = [bytes([number % 256]) for number in range(100_000)]
    tracemalloc.start()
    try:
        assert all(filling.write(piece) for piece in pieces)
        real = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert real <= 1.2 * len(pieces)
    filling.discard()
    assert bench.is_clean()


@pytest.mark.parametrize("length", [2, 4])
def test_answer_of_another_than_its_declared_length_is_not_stored(bench: Bench, length: int) -> None:
    filling = bench.filling()
    assert filling.begin(answer(length=length))
    filling.write(b"abc")
    filling.commit()
    assert len(bench.shelf.memory) == 0
    assert bench.is_clean()


def test_answer_that_grew_stale_on_its_way_is_not_stored(bench: Bench) -> None:
    filling = bench.filling()
    filling.begin(answer())
    bench.now += 60
    filling.commit()
    assert len(bench.shelf.memory) == 0
    assert filling.reason == "stale"


def test_answer_to_a_request_from_before_a_change_is_not_stored(bench: Bench) -> None:
    filling = bench.filling()
    filling.begin(answer())
    filling.write(b"old")
    bench.shelf.invalidate(KEY.uri)
    assert bench.is_clean()
    assert not filling.write(b"more")
    filling.commit()
    assert len(bench.shelf.memory) == 0


def test_first_head_counts(bench: Bench) -> None:
    filling = bench.filling()
    assert filling.begin(answer())
    assert filling.begin(answer((b"Cache-Control", b"no-store")))
    filling.commit()
    assert len(bench.shelf.memory) == 1


def test_commit_without_a_head_stores_nothing(bench: Bench) -> None:
    bench.filling().commit()
    assert len(bench.shelf.memory) == 0
    assert bench.is_clean()


def test_later_changes_of_the_answer_are_not_stored(bench: Bench) -> None:
    filling = bench.filling()
    response = answer()
    filling.begin(response)
    response.fields.add("X-Request-Id", "1")
    filling.commit()
    assert [entry.value(b"x-request-id") for entry in bench.shelf.memory] == [None]


def test_what_belongs_to_one_exchange_is_not_stored(bench: Bench) -> None:
    filling = bench.filling()
    filling.begin(answer(*FRESH, (b"X-Headgate-Target", b"t"), (b"Proxy-Authenticate", b"x"), (b"Age", b"1")))
    filling.commit()
    names = [name for entry in bench.shelf.memory for name, _ in entry.fields]
    assert names == [b"Cache-Control", b"Date"]


@pytest.mark.parametrize(
    ("fields", "status", "is_conditional", "is_marked"),
    [
        ((b"Cache-Control", b"no-store"), 200, False, True),
        ((b"Set-Cookie", b"a=b"), 200, False, True),
        ((b"X", b"y"), 200, False, True),
        ((b"X", b"y"), 401, False, True),
        ((b"X", b"y"), 408, False, False),
        ((b"X", b"y"), 429, False, False),
        ((b"X", b"y"), 499, False, True),
        ((b"X", b"y"), 500, False, False),
        ((b"X", b"y"), 503, False, False),
        ((b"X", b"y"), 304, True, False),
    ],
)
def test_only_lasting_reasons_are_remembered(
    bench: Bench, fields: tuple[bytes, bytes], status: int, is_conditional: bool, is_marked: bool
) -> None:
    flight = bench.shelf.flights.lead("flight", bench.now)
    filling = bench.filling(flight, is_conditional=is_conditional)
    head = fields if fields[0] != b"Set-Cookie" else None
    response = answer(head) if head else answer(*FRESH, fields)
    response.status = status
    assert not filling.begin(response)
    assert bench.shelf.flights.is_marked("flight", bench.now) == is_marked
    assert bench.is_clean()
