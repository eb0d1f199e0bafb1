"""What the lane takes of a message means the same to the reference path; all else it leaves to that."""

from __future__ import annotations

import asyncio
import re
from itertools import product

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext.http1 import (
    HeadLimits,
    RequestHead,
    parse_request_head,
    parse_response_head,
    write_request_head,
)
from headgate.ext.lane import read_answer, write_answer, write_request
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.forwarded import Origin
from headgate.proxy.http1.fields import end_to_end
from headgate.proxy.outgoing import Outgoing
from headgate.proxy.upstream.attempt import OutgoingHead
from headgate.proxy.upstream.cluster import Cluster

from ..ext.message_writer import MessageWriter
from .lane_door import Door, Served, new_facts
from .outgoing_stand import KINDS, cluster_of, prepare, shape_lines

writers = st.integers(0, 2**32).map(MessageWriter)
limits = st.sampled_from((HeadLimits(), HeadLimits(40, 200, 5), HeadLimits(8192, 65536, 200)))


def referred(served: Served, limits: HeadLimits, raw: bytes) -> RequestHead:
    """Return the head of a request that the lane took, as the reference path reads it."""
    return parse_request_head(raw[: served.arrived.size], limits)


@settings(max_examples=300)
@given(st.lists(writers, min_size=1, max_size=3), limits)
def test_what_the_lane_takes_of_a_request_the_reference_path_reads_alike(
    written: list[MessageWriter], limits: HeadLimits
) -> None:
    data = b"".join(writer.request() for writer in written)
    door = Door(new_facts(limits))
    door.feed([data])
    at = 0
    for served in door.served:
        head = referred(served, limits, data[at:])
        exchange = served.arrived.exchange
        request = exchange.request
        assert (request.method.encode(), request.target.encode("latin-1")) == (head.method, head.target)
        assert tuple(request.fields.raw) == head.fields
        assert (request.host, request.version) == (head.host, head.version)
        assert served.arrived.is_kept is head.is_keep_alive
        assert not head.is_chunked and not head.expects_continue
        assert served.arrived.length == (head.content_length or 0)
        path, _, query = request.target.partition("?")
        assert (request.path, request.query) == (path, query)
        at += served.arrived.size
        if served.body is not None:
            assert served.body == data[at : at + served.arrived.length]
            at += served.arrived.length
    if door.handed_over is not None:
        assert door.handed_over == data[at:]


@settings(max_examples=150)
@given(st.lists(writers, min_size=1, max_size=2), limits)
def test_a_request_is_taken_alike_for_any_split(written: list[MessageWriter], limits: HeadLimits) -> None:
    data = b"".join(writer.request() for writer in written)
    whole, cut, bytewise = Door(new_facts(limits)), Door(new_facts(limits)), Door(new_facts(limits))
    whole.feed([data])
    cut.feed(written[0].pieces(data))
    bytewise.feed([data[place : place + 1] for place in range(len(data))])
    for door in (cut, bytewise):
        # A body that is large, or a head that is hopeless, is known sooner: whatever was taken is the same.
        assert [served.body for served in door.served] == [served.body for served in whole.served]
        taken = [served.arrived.size + served.arrived.length for served in door.served]
        assert taken == [served.arrived.size + served.arrived.length for served in whole.served]
        assert (door.handed_over is None) == (whole.handed_over is None)
        assert door.handed_over == whole.handed_over


@settings(max_examples=300)
@given(writers)
def test_what_the_lane_reads_of_an_answer_the_reference_path_reads_alike(written: MessageWriter) -> None:
    data = written.response()
    limits = HeadLimits(8192, 65536, 200)
    answer = read_answer(data, new_facts(limits), limits.max_head_bytes, limits.max_fields)
    if answer is None:
        return
    head = parse_response_head(data[: answer.size], limits, request_method=b"GET")
    fields = Fields(end_to_end(head.fields))
    fields.remove("content-length")
    fields.remove_prefix("x-headgate-")
    assert (answer.status, answer.reason, answer.raw) == (head.status, head.reason, fields.raw)
    assert answer.length == (head.content_length if head.framing == "length" else None)
    assert head.framing in ("length", "chunked")
    assert answer.is_keep_alive is head.is_keep_alive
    assert answer.media_type.decode("latin-1") == (fields.get("content-type") or "")


TYPES = (b"application/json", b"text/event-stream", b"")


@pytest.mark.parametrize(("one", "other"), [*product(TYPES, TYPES)])
def test_an_answer_that_names_two_media_types_is_left_to_the_reference_path(one: bytes, other: bytes) -> None:
    """That one reads both as one text, and what it counts of the body depends on it."""
    named = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: %b\r\n"
    facts, limits = new_facts(HeadLimits()), HeadLimits()
    alone = read_answer(named % one + b"\r\n", facts, limits.max_head_bytes, limits.max_fields)
    assert alone is not None and alone.media_type == one
    twice = named % one + b"content-type: %b\r\n\r\n" % other
    assert read_answer(twice, facts, limits.max_head_bytes, limits.max_fields) is None


@pytest.mark.parametrize("name", [b"close", b"Close"])
def test_a_field_that_a_connection_option_may_name_is_left_to_the_reference_path(name: bytes) -> None:
    """With `Connection: close` a field of that name is of this connection alone (RFC 9110 §7.6.1)."""
    facts, limits = new_facts(HeadLimits()), HeadLimits()
    fields = b"Connection: close\r\n%b: a\r\n\r\n" % name
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields
    assert read_answer(answer, facts, limits.max_head_bytes, limits.max_fields) is None
    request = b"GET / HTTP/1.1\r\nHost: a\r\n" + fields
    door = Door(facts)
    door.feed([request])
    assert (door.served, door.handed_over) == ([], request)


@settings(max_examples=300)
@given(writers, st.sampled_from(sorted(KINDS)))
def test_the_lane_writes_a_request_as_the_reference_path_does(written: MessageWriter, kind: str) -> None:
    door = Door(new_facts(HeadLimits()))
    door.feed([written.request()])
    for served in door.served:
        exchange, cluster = served.arrived.exchange, cluster_of(kind)
        length = prepare(exchange, served.body or b"")
        origin = Origin("192.0.2.9", "192.0.2.9", "http", exchange.request.host)
        outgoing = Outgoing(exchange, exchange.request.body, origin, "x-forwarded", None)
        wanted, _ = asyncio.run(asked(outgoing, exchange, cluster))
        got = write_request(exchange, door.facts, *shape_lines(cluster, origin), length)
        assert got is not None
        assert without_time(got) == without_time(
            write_request_head(wanted.method, wanted.target, list(wanted.fields)).data
        )


def without_time(head: bytes) -> bytes:
    return re.sub(rb"X-Headgate-Deadline-Ms: [0-9]+", b"", head)


async def asked(outgoing: Outgoing, exchange: Exchange, cluster: Cluster) -> tuple[OutgoingHead, object]:
    return outgoing.request_for(exchange.groups[0][0], cluster, cluster.members[0], None)


@settings(max_examples=200)
@given(writers, st.sampled_from((200, 404, 503)), st.one_of(st.none(), st.integers(0, 9)), st.booleans())
def test_a_client_reads_what_the_lane_writes(
    written: MessageWriter, status: int, length: int | None, is_kept: bool
) -> None:
    raw = [pair for pair in written.fields() if pair[0].lower() not in (b"content-length", b"transfer-encoding")]
    head = write_answer(status, b"Words", [*raw], length, is_kept)
    if head is None:
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.receive_data(head)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert (response.status_code, response.reason) == (status, b"Words")
    framing = [(b"transfer-encoding", b"chunked")] if length is None else [(b"content-length", b"%d" % length)]
    closing = [] if is_kept else [(b"connection", b"close")]
    assert list(response.headers) == [(n.lower(), v.strip(b" \t")) for n, v in raw] + framing + closing
