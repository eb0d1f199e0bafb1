"""Each fault over a raw socket: which bytes come, and how the connection ends."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from .fault_process import FaultProcess
from .raw_peer import CHAT, STREAM, Ending, RawPeer, raw_peer

TOKENS = ["The", " café", " in", " 東京", " counts:", " one", " 🚀"]
SHORT_S = 0.3  # quiet for so long is quiet
TICK_S = 0.001  # uvloop's clock counts whole milliseconds: so much a timer may be early


def provoked(faults: FaultProcess, fault: str, value: Any = STREAM, quiet_s: float = 20.0) -> tuple[bytes, Ending]:
    """Send one request with a fault; return all that comes, and how the connection ends."""
    with raw_peer(faults.port) as peer:
        peer.send(value, f"x-fault: {fault}")
        return peer.rest(quiet_s)


def well(faults: FaultProcess, value: Any = STREAM) -> bytes:
    """Return the body of a good answer. Ids have the same length whatever their number."""
    with raw_peer(faults.port) as peer:
        peer.send(value)
        return peer.answer()[1]


def split(raw: bytes) -> tuple[bytes, bytes]:
    """Return head and body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return head, body


def chunks(raw: bytes) -> list[bytes]:
    """Return the data of the chunks, of the last one what there is of it."""
    found, at = [], 0
    while at < len(raw):
        line_end = raw.index(b"\r\n", at)
        size = int(raw[at:line_end], 16)
        at = line_end + 2 + size
        found.append(raw[line_end + 2 : at])
        at += 2
    return found


def text_of(body: bytes) -> str:
    """Return the text of the whole events of a stream."""
    values = [json.loads(event[6:]) for event in body.split(b"\n\n")[:-1] if event != b"data: [DONE]"]
    return "".join(choice["delta"].get("content", "") for value in values for choice in value["choices"])


@pytest.mark.parametrize(
    ("fault", "status", "fields", "code"),
    [
        ("429", 429, (), "fault"),
        ("429,retry_after=7", 429, (b"Retry-After: 7",), "fault"),
        ("500", 500, (), "fault"),
        ("503", 503, (), "fault"),
        ("503,retry_after=0", 503, (b"Retry-After: 0",), "fault"),
        ("status:418", 418, (), "fault"),
        ("context_length", 400, (), "context_length_exceeded"),
        ("content_filter", 400, (), "content_filter"),
    ],
)
@pytest.mark.parametrize("value", [STREAM, CHAT])
def test_a_refusal_is_an_answer_on_a_kept_connection(
    faults: FaultProcess, fault: str, status: int, fields: tuple[bytes, ...], code: str, value: Any
) -> None:
    with raw_peer(faults.port) as peer:
        peer.send(value, f"x-fault: {fault}")
        head, body = peer.answer()
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert json.loads(body)["error"]["code"] == code
        assert (b"Retry-After" in head) is bool(fields)
        assert all(field in head for field in fields)
        peer.send(value)
        assert peer.answer()[0].startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("value", [STREAM, CHAT])
def test_before_the_head(faults: FaultProcess, value: Any) -> None:
    assert provoked(faults, "reset", value) == (b"", "RST")
    assert provoked(faults, "close", value) == (b"", "FIN")
    assert provoked(faults, "silence", value, SHORT_S) == (b"", "open")


def test_a_prefill_is_refused_and_nothing_else(faults: FaultProcess) -> None:
    prefilled = {**STREAM, "messages": [*CHAT["messages"], {"role": "assistant", "content": "The"}]}
    for value, status in ((STREAM, b"200"), (prefilled, b"400")):
        with raw_peer(faults.port) as peer:
            peer.send(value, "x-fault: no_prefill")
            assert peer.answer()[0].startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(("how", "ending"), [("reset", "RST"), ("close", "FIN")])
@pytest.mark.parametrize("k", [0, 1, 3, 7, 20])
def test_a_cut_after_tokens(faults: FaultProcess, how: str, ending: Ending, k: int) -> None:
    raw, ended = provoked(faults, f"cut:{k},how={how}")
    head, body = split(raw)
    assert (head[:15], ended) == (b"HTTP/1.1 200 OK", ending)
    assert text_of(b"".join(chunks(body))) == "".join(TOKENS[:k])
    assert b'"finish_reason":"stop"' not in body
    raw, ended = provoked(faults, f"cut:{k},how={how}", CHAT)
    assert ended == ending
    assert split(raw)[1].endswith('"content":"{}'.format("".join(TOKENS[:k])).encode())


@pytest.mark.parametrize("value", [STREAM, CHAT])
@pytest.mark.parametrize(("how", "ending"), [("reset", "RST"), ("close", "FIN")])
def test_a_cut_at_every_byte(faults: FaultProcess, value: Any, how: str, ending: Ending) -> None:
    """Every byte of a frame with two multibyte characters, and of the answer's beginning and end."""
    body = well(faults, value)
    middle = body.index("東京".encode()) - 3
    places = [*range(3), *range(middle, middle + 12), *range(len(body) - 3, len(body) + 1)]
    for at in places:
        raw, ended = provoked(faults, f"cut_byte:{at},how={how}", value)
        head, framed = split(raw)
        got = b"".join(chunks(framed)) if value is STREAM else framed
        assert (head[:15], ended) == (b"HTTP/1.1 200 OK", ending)
        assert _without_id(got) == _without_id(body[:at])
    with raw_peer(faults.port) as peer:
        peer.send(value, f"x-fault: cut_byte:{len(body) + 1}")
        assert _without_id(peer.answer()[1]) == _without_id(body)
    tokens = [seen["body_bytes"] for seen in faults.requests()[1:]]
    assert tokens == [*places, len(body)]


def _without_id(body: bytes) -> bytes:
    """Blank the request's number, as far as it came."""
    parts = body.split(b"chatcmpl-")
    return b"chatcmpl-".join([parts[0], *(b"_" * len(part[:9]) + part[9:] for part in parts[1:])])


def test_an_answer_that_ends_in_good_order_without_a_finish_reason(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.send(STREAM, "x-fault: clean_end:2")
        body = peer.answer()[1]
        assert text_of(body) == "The café"
        assert b"[DONE]" not in body and b'"finish_reason":"' not in body
        peer.send(CHAT, "x-fault: clean_end:2")
        choice = json.loads(peer.answer()[1])["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("The café", None)


def test_a_stall_stays_open_and_says_no_more(faults: FaultProcess) -> None:
    raw, ended = provoked(faults, "stall:2", quiet_s=SHORT_S)
    assert ended == "open"
    assert text_of(b"".join(chunks(split(raw)[1]))) == "The café"
    raw, ended = provoked(faults, "stall:2", CHAT, SHORT_S)
    assert (raw.endswith('"content":"The café'.encode()), ended) == (True, "open")


def test_a_drip_comes_byte_by_byte(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.send(STREAM, "x-fault: drip:1,every=5ms")
        peer.until(b"\r\n\r\n")
        dripped = peer.until(b"\r\n" + b"1\r\n \r\n" * 3)  # for ever
        parts = chunks(dripped[dripped.index(b"1\r\nd\r\n") :])
        assert b"".join(parts) == b"data: {   "
        assert all(len(part) == 1 for part in parts)
    with raw_peer(faults.port) as peer:
        peer.send(STREAM, "x-fault: drip:1,every=1ms,end=whole")
        head = peer.until(b"\r\n\r\n")
        body = peer.until(b"0\r\n\r\n")
        sizes = [len(part) for part in chunks(body)]
        assert head.startswith(b"HTTP/1.1 200 OK") and sizes.count(1) > 100
        assert text_of(b"".join(chunks(body))) == "".join(TOKENS)


def test_an_event_that_is_not_json(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.send(STREAM, "x-fault: bad_json:1")
        body = peer.answer()[1]
        bad = [event for event in body.split(b"\n\n") if b"chatcmpl-bad" in event]
        assert bad == [b'data: {"id": "chatcmpl-bad", "object": "chat.comp']
        assert text_of(body.replace(bad[0] + b"\n\n", b"")) == "".join(TOKENS)
        peer.send(CHAT, "x-fault: bad_json")
        assert json.loads(peer.answer()[1] + b"}")["choices"]


def test_a_chunk_without_a_size(faults: FaultProcess) -> None:
    raw, ended = provoked(faults, "bad_chunk:1")
    good, bad, _ = split(raw)[1].partition(b"no size\r\n")
    assert (text_of(b"".join(chunks(good))), bad, ended) == ("The", b"no size\r\n", "FIN")


def test_parts_that_are_missing(faults: FaultProcess) -> None:
    asking = {**STREAM, "stream_options": {"include_usage": True}}
    with raw_peer(faults.port) as peer:
        peer.send(asking, "x-fault: no_done")
        body = peer.answer()[1]
        assert b"[DONE]" not in body and b'"total_tokens":8' in body and b'"finish_reason":"stop"' in body
        peer.send(asking, "x-fault: no_usage")
        body = peer.answer()[1]
        assert b"usage" not in body and body.endswith(b"data: [DONE]\n\n")


def test_an_error_as_an_event(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        for k in (0, 2):
            peer.send(STREAM, f"x-fault: error_event:{k}")
            *told, error = peer.answer()[1].split(b"\n\n")[:-1]
            assert text_of(b"".join(event + b"\n\n" for event in told)) == "".join(TOKENS[:k])
            assert json.loads(error.removeprefix(b"data: "))["error"]["type"] == "server_error"
        peer.send(CHAT, "x-fault: error_event")
        assert peer.answer()[0].startswith(b"HTTP/1.1 500 ")


def test_a_filter_that_ends_the_text(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.send(STREAM, "x-fault: filter_finish:2")
        body = peer.answer()[1]
        assert text_of(body) == "The café"
        assert b'"finish_reason":"content_filter"' in body and b"[DONE]" in body


@pytest.mark.parametrize(("how", "ending"), [("close", "FIN"), ("reset", "RST")])
def test_a_connection_that_ends_under_the_next_request(faults: FaultProcess, how: str, ending: Ending) -> None:
    with raw_peer(faults.port) as peer:
        peer.send(STREAM, f"x-fault: stale,how={how}")
        head, body = peer.answer()
        assert (text_of(body), b"Connection" in head) == ("".join(TOKENS), False)
        assert peer.rest(SHORT_S) == (b"", "open")
        peer.send(STREAM)
        assert peer.rest() == (b"", ending)
    assert [seen["done"] for seen in faults.requests()] == ["answered"]


@pytest.mark.parametrize("value", [STREAM, CHAT])
def test_a_body_that_is_shorter_than_declared(faults: FaultProcess, value: Any) -> None:
    raw, ended = provoked(faults, "short_body:5", value)
    head, body = split(raw)
    assert ended == "FIN"
    assert _without_id(body) == _without_id(well(faults, value))
    assert int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]) == len(body) + 5


@pytest.mark.parametrize("value", [STREAM, CHAT])
def test_what_comes_late(faults: FaultProcess, value: Any) -> None:
    with raw_peer(faults.port) as peer:
        begun_s = time.monotonic()
        peer.send(value, "x-fault: late_head:200ms")
        peer.until(b"\r\n\r\n")
        assert time.monotonic() - begun_s >= 0.2 - TICK_S
    with raw_peer(faults.port) as peer:
        begun_s = time.monotonic()
        peer.send(value, "x-fault: late_token:2s")
        peer.until(b"\r\n\r\n")
        assert time.monotonic() - begun_s < 1.5
        peer.until("café".encode())
        assert time.monotonic() - begun_s >= 2 - TICK_S


@pytest.mark.parametrize("value", [STREAM, CHAT])
def test_a_slow_body_is_whole_in_the_end(faults: FaultProcess, value: Any) -> None:
    with raw_peer(faults.port) as peer:
        begun_s = time.monotonic()
        peer.send(value, "x-fault: slow_body:400ms")
        body = peer.answer()[1]
        assert time.monotonic() - begun_s >= 0.4 - TICK_S
    assert _without_id(body) == _without_id(well(faults, value))


def test_refusing_is_refused_connections_and_then_all_is_well(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as idle:
        idle.send()
        idle.answer()
        faults.call("PUT", "/faults", ["refuse:400ms", "500,once"])
        assert idle.rest() == (b"", "FIN")
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                RawPeer(faults.port)
        _until_listening(faults.port)
    assert faults.ask("POST", "/v1/chat/completions", CHAT)[0] == 500
    assert faults.ask("POST", "/v1/chat/completions", CHAT)[0] == 200


def test_a_request_may_ask_for_refusal(faults: FaultProcess) -> None:
    assert provoked(faults, "refuse:300ms") == (b"", "RST")
    with pytest.raises(ConnectionRefusedError):
        RawPeer(faults.port)
    _until_listening(faults.port)
    assert well(faults)


def _until_listening(port: int) -> None:
    """Connect until it is not refused, for ten seconds at most."""
    end_s = time.monotonic() + 10
    while True:
        try:
            RawPeer(port).sock.close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < end_s


def test_a_reset_comes_after_everything_that_was_sent(faults: FaultProcess) -> None:
    """Also where the peer begins to read when all of it was sent, and most still waits in the kernel."""
    faults.script(tokens=1000)
    with raw_peer(faults.port, room_bytes=8192) as peer:
        peer.send(STREAM, "x-fault: cut:1000")
        faults.until(lambda seen: seen[0]["done"])
        raw, ended = peer.rest()
    assert ended == "RST"
    assert text_of(b"".join(chunks(split(raw)[1]))).endswith("999")
