"""What the lane remembers, holds and writes is bounded, and within the bounds it is right to the last octet."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.ext.http1 import HeadLimits, Pair
from headgate.ext.lane import KEPT, Arrived, Downstream, Facts, decorate, joined, write_answer, write_request
from headgate.proxy.downstream.settings import ListenerSettings
from headgate.proxy.exchange.exchange import UNMATCHED
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.priority import DEFAULT
from headgate.proxy.lane.acceptor import METHODS
from headgate.proxy.lane.kinds import kind_in_answer

from .lane_door import Door, Loop, Transport, new_facts

MAX_KINDS = 1024
MAX_KIND_BYTES = 64
OUT_BYTES = 65536
HELD_BYTES = 65536
REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


class Judge:
    """Says of every name that its field travels on, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, name: bytes) -> int:
        self.asked.append(name)
        return KEPT


def arrived(facts: Facts, names: list[bytes]) -> Arrived:
    """Return a request with these fields behind Host."""
    door = Door(facts)
    door.feed([b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"%b: v\r\n" % name for name in names) + b"\r\n"])
    return door.served[0].arrived


def names_of(taken: Arrived) -> list[bytes]:
    """Return the names of a request's fields behind Host."""
    return [name for name, _ in taken.exchange.request.fields.raw[1:]]


def test_so_many_names_are_remembered_and_no_more() -> None:
    judge = Judge()
    settings = ListenerSettings(head_limits=HeadLimits())
    facts = Facts(settings, (Fields, UNMATCHED, DEFAULT), float, (judge, kind_in_answer), METHODS)
    names = [b"X-%d" % number for number in range(4 * MAX_KINDS)]
    groups = [names[at : at + 32] for at in range(0, len(names), 32)]
    for group in groups:
        assert names_of(arrived(facts, group)) == group
    assert sorted(judge.asked) == sorted([b"host", *(name.lower() for name in names)])
    judge.asked.clear()
    for group in groups:
        assert names_of(arrived(facts, group)) == group
    assert len(names) - MAX_KINDS <= len(judge.asked) <= len(names) - MAX_KINDS // 2
    assert b"host" not in judge.asked


@pytest.mark.parametrize(("size", "num_asked"), [(MAX_KIND_BYTES, 1), (MAX_KIND_BYTES + 1, 3)])
def test_a_long_name_is_not_remembered(size: int, num_asked: int) -> None:
    judge = Judge()
    settings = ListenerSettings(head_limits=HeadLimits())
    facts = Facts(settings, (Fields, UNMATCHED, DEFAULT), float, (judge, kind_in_answer), METHODS)
    for _ in range(3):
        assert names_of(arrived(facts, [b"x" * size])) == [b"x" * size]
    assert judge.asked.count(b"x" * size) == num_asked


def test_a_name_that_is_remembered_is_one_object() -> None:
    facts = new_facts(HeadLimits())
    one, other = (names_of(arrived(facts, [b"Accept", b"accept"])) for _ in range(2))
    assert one == other == [b"Accept", b"accept"]
    assert all(a is b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 15, 16, 17, 24, 33])
def test_names_that_differ_in_one_octet_are_told_apart(size: int) -> None:
    facts = new_facts(HeadLimits())
    names = [b"a" * at + b"b" + b"a" * (size - at - 1) for at in range(size)]
    for _ in range(2):
        assert names_of(arrived(facts, names)) == names


def test_text_that_repeats_is_one_object_and_other_text_is_read_anew() -> None:
    facts = new_facts(HeadLimits())
    targets = ["/a?x", "/a?x", "/a?y", "/b", "/b", "/a", "/ab", "/a?x"]
    requests = []
    for target in targets:
        door = Door(facts)
        door.feed([f"GET {target} HTTP/1.1\r\nHost: {target[1]}.test\r\n\r\n".encode()])
        requests.append(door.served[0].arrived.exchange.request)
    assert [request.target for request in requests] == targets
    assert [request.path for request in requests] == [target.partition("?")[0] for target in targets]
    assert [request.query for request in requests] == [target.partition("?")[2] for target in targets]
    assert [request.host for request in requests] == [f"{target[1]}.test" for target in targets]
    assert requests[0].target is requests[1].target and requests[0].host is requests[1].host
    assert requests[0].path is requests[2].path


def test_an_answer_is_written_up_to_a_bound() -> None:
    rest = write_answer(200, b"OK", [(b"a", b"")], 1, True)
    assert rest is not None
    room = OUT_BYTES - len(rest)
    largest = write_answer(200, b"OK", [(b"a", b"v" * room)], 1, True)
    assert largest == rest.replace(b"a: ", b"a: " + b"v" * room)
    assert write_answer(200, b"OK", [(b"a", b"v" * (room + 1))], 1, True) is None
    assert write_answer(200, b"OK", [(b"a", b"v" * OUT_BYTES), (b"b", b"c")], 1, True) is None


def test_a_request_is_written_up_to_a_bound() -> None:
    facts = new_facts(HeadLimits())
    exchange = arrived(facts, [b"a"]).exchange
    exchange.deadline = 1.0

    def written(size: int) -> bytes | None:
        exchange.request.fields.raw = [(b"a", b"v" * size)]
        return write_request(exchange, facts, b"h", b"", frozenset(), b"", 0)

    rest = written(0)
    assert rest is not None
    room = OUT_BYTES - len(rest)
    assert written(room) == rest.replace(b"\r\na: ", b"\r\na: " + b"v" * room)
    assert written(room + 1) is None


class Pausing(Transport):
    """Notes whether it is read."""

    is_read = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


class Watching(Door):
    """Looks for a client that leaves while its connection is not read."""

    is_watching = False

    def leave_watch(self, transport: object) -> Watching:
        self.is_watching = True
        return self

    def stop(self) -> None:
        self.is_watching = False


def test_no_more_is_read_with_so_much_behind_the_request_under_way() -> None:
    door, transport = Watching(new_facts(HeadLimits())), Pausing()
    connection: Any = Downstream(door, door.facts, Loop(), "http")  # type: ignore[arg-type]
    connection.connection_made(transport)
    connection.data_received(REQUEST + REQUEST)
    connection.data_received(b"x" * (HELD_BYTES - len(REQUEST) - 1))
    assert (transport.is_read, door.is_watching) == (True, False)
    connection.data_received(b"x")
    assert (transport.is_read, door.is_watching) == (False, True)
    connection.handled(True)  # behind the next one there is less
    assert (transport.is_read, door.is_watching, len(door.served)) == (True, False, 2)


def test_a_body_that_is_not_to_come_yet_is_held_like_what_comes_behind_a_request() -> None:
    door, transport = Watching(new_facts(HeadLimits())), Pausing()
    door.max_body_bytes = 1 << 20
    connection: Any = Downstream(door, door.facts, Loop(), "http")  # type: ignore[arg-type]
    connection.connection_made(transport)
    body = bytes(range(256)) * 1024
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
    connection.hold_body()
    connection.data_received(body[: HELD_BYTES - 1])
    assert (transport.is_read, door.is_watching, connection.received_bytes) == (True, False, 0)
    connection.data_received(body[HELD_BYTES - 1 : HELD_BYTES])
    assert (transport.is_read, door.is_watching, connection.received_bytes) == (False, True, 0)
    connection.release_body()
    assert (transport.is_read, door.is_watching, connection.received_bytes) == (True, False, HELD_BYTES)
    connection.data_received(body[HELD_BYTES:] + REQUEST)
    assert door.served[0].body == body
    connection.handled(True)
    assert len(door.served) == 2


@pytest.mark.parametrize("number", [1, 9, 10, 15, 16, 255, 256, 4095, 65536])
def test_sizes_are_written_in_full(number: int) -> None:
    head = write_answer(200, b"OK", [], number, True)
    assert head == b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % number
    piece = b"x" * number
    assert joined(b"head", piece, True, False) == b"head%x\r\n%b\r\n" % (number, piece)
    assert joined(b"", piece, True, True) == b"%x\r\n%b\r\n0\r\n\r\n" % (number, piece)


@pytest.mark.parametrize("length", [0, 2**31, 10**18, 2**63 - 1])
def test_a_length_is_written_in_full(length: int) -> None:
    assert write_answer(599, b"", [], length, True) == b"HTTP/1.1 599 \r\nContent-Length: %d\r\n\r\n" % length


def test_what_an_answer_carries_replaces_what_it_had() -> None:
    raw: list[Pair] = [(b"X-REQUEST-id", b"theirs"), (b"dAtE", b"then"), (b"x-y", b"1"), (b"X-y", b"2"), (b"x@y", b"3")]
    decorate(raw, [("X-Y", " \tval\xfce\t "), ("X`Y", "")], b"now", "ours", "t\xe9\u20ac", 12, "hit\u20ac")
    assert raw == [
        *((b"dAtE", b"then"), (b"x@y", b"3"), (b"X-Y", b"val\xfce"), (b"X`Y", b""), (b"x-request-id", b"ours")),
        *((b"X-Headgate-Target", b"t\xe9?"), (b"X-Headgate-Attempts", b"12"), (b"X-Headgate-Cache", b"hit?")),
    ]
    raw = []
    decorate(raw, [], b"now", "ours", None, 0, None)
    assert raw == [(b"Date", b"now"), (b"x-request-id", b"ours")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "v"), ("a b", "v"), ("a:", "v"), ("\xe9", "v"), ("a", "v\r\nb: c"), ("a", "\0"), ("\u20ac", "v")],
)
def test_what_is_no_field_is_not_added(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        decorate([], [(name, value)], b"now", "ours", None, 0, None)


def test_what_a_stage_puts_in_a_fields_place_is_left_to_the_reference_path() -> None:
    odd: list[Any] = [["X-Y", "1"], (b"a",), ("x-y", b"1"), None]
    raw = list(odd)
    decorate(raw, [("X-Y", "2")], b"now", "ours", None, 0, None)
    assert raw[:4] == odd
    assert all(write_answer(200, b"OK", [each], 0, True) is None for each in odd)
