"""What clients of every kind send, and a faultless answer to it."""

from __future__ import annotations

import json

from .fault_process import FaultProcess
from .raw_peer import CHAT, raw_peer

BODY = json.dumps(CHAT).encode()
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"


def test_a_body_in_chunks_byte_by_byte(faults: FaultProcess) -> None:
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\nX-Trailer: a\r\n\r\n"
    with raw_peer(faults.port) as peer:
        for data in (POST, b"Transfer-Encoding: chunked\r\n\r\n", framed[:100], framed[100:]):
            peer.sock.sendall(data)
        assert json.loads(peer.answer()[1])["object"] == "chat.completion"


def test_a_client_that_waits_is_told_to_continue(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.sock.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert peer.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sock.sendall(BODY)
        assert peer.answer()[0].startswith(b"HTTP/1.1 200 OK")


def test_requests_sent_together_are_answered_in_order(faults: FaultProcess) -> None:
    faults.script("500,once", "503,once")
    request = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    with raw_peer(faults.port) as peer:
        peer.sock.sendall(3 * request)
        assert [peer.answer()[0][9:12] for _ in range(3)] == [b"500", b"503", b"200"]


def test_a_connection_is_closed_where_the_client_asks(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.send(CHAT, "Connection: close")
        raw, ended = peer.rest()
    assert (b"\r\nConnection: close\r\n" in raw, ended) == (True, "FIN")
    assert faults.requests()[0]["done"] == "answered"


def test_http_1_0_gets_a_stream_without_chunks(faults: FaultProcess) -> None:
    body = json.dumps({**CHAT, "stream": True}).encode()
    with raw_peer(faults.port) as peer:
        peer.sock.sendall(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        raw, ended = peer.rest()
    assert ended == "FIN"
    assert b"Transfer-Encoding" not in raw and raw.endswith(b"data: [DONE]\n\n")


def test_head_gets_the_head_of_get(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.sock.sendall(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        head = peer.until(b"\r\n\r\n")
        assert peer.answer() == (head, b'{"status":"ok","name":"heavy"}')


def test_a_body_that_is_too_large_is_refused(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.sock.sendall(POST + b"Content-Length: 8388609\r\n\r\n")
        head, body = peer.answer()
    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(body)["error"]["code"] == "body_too_large"


def test_the_largest_body_is_read_however_fast_it_comes(faults: FaultProcess) -> None:
    content = json.dumps({"messages": [{"role": "user", "content": "x" * ((8 << 20) - 100)}]}).encode()
    request = POST + b"Content-Length: %d\r\n\r\n" % len(content) + content
    with raw_peer(faults.port) as peer:
        for _ in range(5):
            peer.sock.sendall(request)
            assert peer.answer()[0].startswith(b"HTTP/1.1 200 OK")
