"""Cost of reading one head, and of a whole exchange as bytes, as multiples of a known parser in the same run.

    python -m bench.micro.http1 [--heads 1000] [--rounds 15]

A head comes in one piece, as from a kept connection, is found in it, read and checked; it is compared with aiohttp's
parser in C. The exchange is what the upstream client does for one request: it writes a head and a body of 90 bytes, and
reads a head and a body of 318 bytes; it is compared with h11 doing so alone. Figures are the least of the rounds, in
process time, garbage collection off, with the loop's own cost taken away. The exit code is 1 where ours is over its
target.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import h11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParserC, HttpResponseParserC

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.http1 import HeadLimits
from headgate.proxy.upstream.codec import ExchangeCodec

from .frame import Benchmark, Key, Row, least

TARGETS = {"request head": 0.4, "response head": 0.5, "exchange": 0.1}
_BASES = {"request head": "aiohttp's, in C", "response head": "aiohttp's, in C", "exchange": "h11"}
_LIMITS = HeadLimits()

_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1",
    b"Host: gateway.example:8080",
    b"Accept: application/json",
    b"Accept-Encoding: gzip, deflate",
    b"Connection: keep-alive",
    b"User-Agent: OpenAI/Python 2.8.1",
    b"Authorization: Bearer sk-0123456789abcdef0123456789abcdef",
    b"Content-Type: application/json",
    b"X-Stainless-Lang: python",
    b"X-Stainless-Retry-Count: 0",
    b"Content-Length: 0",
)
_RESPONSE = (
    b"HTTP/1.1 200 OK",
    b"Server: uvicorn",
    b"Date: Wed, 26 Nov 2025 04:57:58 GMT",
    b"Content-Type: application/json",
    b"X-Request-Id: 01JDKX0T2V3W4Y5Z6A7B8C9D0E",
    b"Cache-Control: no-store",
    b"Vary: Accept-Encoding",
    b"Connection: keep-alive",
    b"Content-Length: %d",
)
_OUT = tuple((name, value) for name, _, value in (line.partition(b": ") for line in _REQUEST[1:-1]))
_FIELDS = [*_OUT, (b"Content-Length", b"90")]
_BODY_OUT = b"y" * 90
_BODY_IN = b"x" * 318


def _raw(lines: Sequence[bytes]) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


_REQUEST_HEAD = _raw(_REQUEST)
_RESPONSE_HEAD = _raw(_RESPONSE) % 0
_ANSWER = _raw(_RESPONSE) % len(_BODY_IN) + _BODY_IN


def measure(num: int, rounds: int) -> Sequence[Row]:
    """Time every subject on the same bytes."""
    loop = asyncio.new_event_loop()
    try:
        best = least({key: partial(_time, work, num) for key, work in _subjects(loop).items()}, num, rounds)
    finally:
        loop.close()
    empty = best.pop(("", "empty loop"))
    return [
        Row(
            shape,
            subject,
            ns - empty,
            (ns - empty) / (best[shape, _BASES[shape]] - empty),
            TARGETS[shape] if subject == "compiled" else None,
        )
        for (shape, subject), ns in best.items()
    ]


def _subjects(loop: asyncio.AbstractEventLoop) -> dict[Key, Callable[[], object]]:
    feed_request = HttpRequestParserC(BaseProtocol(loop), loop, 2**16).feed_data
    feed_response = HttpResponseParserC(BaseProtocol(loop), loop, 2**16).feed_data
    subjects: dict[Key, Callable[[], object]] = {
        ("", "empty loop"): lambda: None,
        ("request head", "aiohttp's, in C"): lambda: feed_request(_REQUEST_HEAD),
        ("request head", "h11"): _h11_request,
        ("response head", "aiohttp's, in C"): lambda: feed_response(_RESPONSE_HEAD),
        ("response head", "h11"): _h11_response,
        ("exchange", "h11"): _h11_exchange,
        ("exchange", IMPLEMENTATIONS[-1]): _exchange,
    }
    for which in IMPLEMENTATIONS:
        module = implementation("http1", which)
        subjects["request head", which] = partial(_request, module)
        subjects["response head", which] = partial(_response, module)
    return subjects


def _time(work: Callable[[], object], num: int) -> int:
    began = time.process_time_ns()
    for _ in range(num):
        work()
    return time.process_time_ns() - began


def _request(module: ModuleType) -> object:
    return module.parse_request_head(module.HeadBuffer(_LIMITS).feed(_REQUEST_HEAD), _LIMITS)


def _response(module: ModuleType) -> object:
    raw = module.HeadBuffer(_LIMITS, is_response=True).feed(_RESPONSE_HEAD)
    return module.parse_response_head(raw, _LIMITS, request_method=b"POST")


def _exchange() -> None:
    codec = ExchangeCodec(_LIMITS)
    codec.start(b"POST", b"/v1/chat/completions", _FIELDS)
    codec.data(_BODY_OUT)
    codec.end()
    codec.next_head(_ANSWER)
    if codec.take_body() != _BODY_IN or not codec.is_reusable:
        raise RuntimeError("expected a whole exchange on a connection that is kept")


def _h11_request() -> Any:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(_REQUEST_HEAD)
    return connection.next_event()


def _h11_response() -> Any:
    connection = h11.Connection(h11.CLIENT)
    connection.receive_data(_RESPONSE_HEAD)
    return connection.next_event()


def _h11_exchange() -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=b"POST", target=b"/v1/chat/completions", headers=_FIELDS))
    connection.send(h11.Data(data=_BODY_OUT))
    connection.send(h11.EndOfMessage())
    connection.receive_data(_ANSWER)
    _, data, end = connection.next_event(), connection.next_event(), connection.next_event()
    if not isinstance(data, h11.Data) or data.data != _BODY_IN or not isinstance(end, h11.EndOfMessage):
        raise RuntimeError("expected a whole exchange")


BENCHMARK = Benchmark("cost of reading heads, and of an exchange as bytes", "heads", 1000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
