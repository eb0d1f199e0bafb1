"""The HTTP face byte by byte: events, errors, pages, abort."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any, Protocol

import orjson
import pytest

HI: dict[str, Any] = {"model": "sample", "messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"
LONG = {**HI, "max_tokens": 16000}


class Server(Protocol):
    """What these tests use of the server."""

    host: str
    port: int

    def ask(self, method: str, path: str, body: object = None, **fields: str) -> tuple[int, dict[str, str], bytes]: ...

    def metric(self, name: str) -> int: ...

    def wait_for(self, condition: Callable[[], bool], bound_s: float = 20.0) -> None: ...


def _raw_request(body: object) -> bytes:
    data = orjson.dumps(body)
    return b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (CHAT.encode(), len(data), data)


def test_stream_has_openais_events(shared: Server) -> None:
    body = {**HI, "max_tokens": 5, "stream": True, "seed": 9, "stream_options": {"include_usage": True}}
    status, fields, data = shared.ask("POST", CHAT, body, x_request_id="my-id")
    assert status == 200
    assert fields["content-type"] == "text/event-stream; charset=utf-8"
    assert fields["x-request-id"] == "my-id"
    *events, done, end = data.split(b"\n\n")
    assert (done, end) == (b"data: [DONE]", b"")
    lines = [event.split(b"\n") for event in events]
    assert all(len(pair) == 2 for pair in lines)
    assert all(re.fullmatch(rb"id: [A-Za-z0-9_-]{8,42}", cursor) for cursor, _ in lines)
    assert len({cursor for cursor, _ in lines}) == len(lines)
    chunks = [orjson.loads(data.removeprefix(b"data: ")) for _, data in lines]
    common = {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"}
    assert set(chunks[0]) == common | {"seed"}
    assert all(set(chunk) == common for chunk in chunks[1:])
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    first, last = chunks[0]["choices"][0], chunks[-2]["choices"][0]
    assert first == {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    assert last == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert chunks[-1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", CHAT, b"{", 400, "invalid_json"),
        ("POST", CHAT, b"", 400, "invalid_json"),
        ("POST", CHAT, {**HI, "model": "x"}, 404, "model_not_found"),
        ("GET", CHAT, None, 405, None),
        ("POST", "/v1/models", b"", 405, None),
        ("GET", "/nothing", None, 404, "unknown_path"),
        ("GET", "/v1/models/none", None, 404, "model_not_found"),
        ("POST", CHAT, b" " * (4 * 1024 * 1024 + 1), 413, "body_too_large"),
        ("POST", "/v1/completions", b'{"model": "sample", "prompt": "a", "echo": true}', 400, "unsupported_value"),
    ],
)
def test_every_error_has_openais_shape(
    shared: Server, method: str, path: str, body: object, status: int, code: str | None
) -> None:
    got, fields, data = shared.ask(method, path, body)
    error = orjson.loads(data)["error"]
    assert (got, error["code"], error["type"]) == (status, code, "invalid_request_error")
    assert set(error) == {"message", "type", "param", "code"}
    assert fields["content-type"] == "application/json"
    assert fields["x-request-id"]


def test_body_of_just_the_allowed_size_is_read(shared: Server) -> None:
    head = orjson.dumps({**HI, "max_tokens": 1})
    assert shared.ask("POST", CHAT, head + b" " * (4 * 1024 * 1024 - len(head)))[0] == 200


@pytest.mark.parametrize("value", ["-1", "1.5", "soon", "9999999999999", ""])
def test_malformed_deadline_is_refused(shared: Server, value: str) -> None:
    status, _, data = shared.ask("POST", CHAT, HI, x_headgate_deadline_ms=value)
    assert (status, orjson.loads(data)["error"]["param"]) == (400, "x-headgate-deadline-ms")


def test_request_id_unfit_for_a_log_line_is_replaced(shared: Server) -> None:
    _, fields, _ = shared.ask("GET", "/health", x_request_id="a b")
    assert len(fields["x-request-id"]) == 32


def test_pages_answer(shared: Server) -> None:
    status, _, data = shared.ask("GET", "/health")
    assert (status, orjson.loads(data)) == (200, {"status": "ok"})
    status, _, data = shared.ask("GET", "/ready")
    numerics = orjson.loads(data)["numerics"]
    assert (status, orjson.loads(data)) == (200, {"status": "ok", "numerics": numerics})
    assert re.fullmatch("[0-9a-f]{16}", numerics)
    for path in ("/v1/models/sample", "/v1/models"):
        model = orjson.loads(shared.ask("GET", path)[2])
        assert model.get("data", [model])[0]["numerics"] == numerics
    status, fields, data = shared.ask("GET", "/metrics")
    assert (status, fields["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b"# TYPE headgate_inference_time_to_first_token_seconds histogram\n" in data


def test_counters_follow_requests(shared: Server) -> None:
    names = ("prompt_tokens_total", "generation_tokens_total", "request_seconds_count")
    before = [shared.metric(name) for name in names]
    shared.ask("POST", CHAT, {**HI, "max_tokens": 7})
    assert [shared.metric(name) - old for name, old in zip(names, before, strict=True)] == [5, 7, 1]


@pytest.mark.parametrize("is_stream", [True, False])
def test_generation_stops_when_the_client_leaves(shared: Server, is_stream: bool) -> None:
    aborted = shared.metric("requests_aborted_total")
    with socket.create_connection((shared.host, shared.port), timeout=10) as client:
        client.sendall(_raw_request({**LONG, "stream": is_stream}))
        if is_stream:
            assert client.recv(64).startswith(b"HTTP/1.1 200")
        shared.wait_for(lambda: shared.metric("requests_running") == 1)
    shared.wait_for(lambda: shared.metric("requests_running") == 0)
    tokens = shared.metric("generation_tokens_total")
    shared.ask("POST", CHAT, {**HI, "max_tokens": 3})
    # Nothing but the three tokens just asked for came after it stopped.
    assert shared.metric("generation_tokens_total") == tokens + 3
    assert shared.metric("requests_aborted_total") == aborted + 1


def test_waiting_request_leaves_the_queue_with_its_client(shared: Server) -> None:
    address = (shared.host, shared.port)
    with socket.create_connection(address, timeout=10) as first:
        first.sendall(_raw_request(LONG))
        shared.wait_for(lambda: shared.metric("requests_running") == 1)
        with socket.create_connection(address, timeout=10) as second:
            second.sendall(_raw_request(LONG))
            shared.wait_for(lambda: shared.metric("requests_waiting") == 1)
        shared.wait_for(lambda: shared.metric("requests_waiting") == 0)
        assert shared.metric("requests_running") == 1
    shared.wait_for(lambda: shared.metric("requests_running") == 0)
