"""Streams of completions, and a gateway in front of targets that send them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ...http_client import Answer, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, Script, Upstream, upstream

PATH = "/v1/chat/completions"
WORDS = ("one ", "zwei ", "三 ", "🚀")
DONE = b"data: [DONE]\n\n"
ROLE = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'


def event(number: int, word: str, *, is_marked: bool = False) -> bytes:
    chunk = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
    return mark(number, is_marked) + b"data: " + json.dumps(chunk).encode() + b"\n\n"


def last(number: int, *, is_marked: bool = False) -> bytes:
    chunk = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return mark(number, is_marked) + b"data: " + json.dumps(chunk).encode() + b"\n\n"


def mark(number: int, is_marked: bool) -> bytes:
    return b"id: cursor-%d\n" % number if is_marked else b""


def events(*, is_marked: bool = False) -> list[bytes]:
    """A whole stream, event by event, `[DONE]` left out."""
    found = [event(number, word, is_marked=is_marked) for number, word in enumerate(WORDS)]
    return [*found, last(len(WORDS), is_marked=is_marked)]


async def begin(call: Call, *fields: str) -> None:
    lines = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked", *fields, "", ""]
    await call.send("\r\n".join(lines).encode())


async def chunks(call: Call, found: Sequence[bytes]) -> None:
    for piece in found:
        await call.send(b"%x\r\n%b\r\n" % (len(piece), piece))


async def end(call: Call) -> None:
    await call.send(b"0\r\n\r\n")


def streaming(*found: bytes, then: str = "end", fields: Sequence[str] = ()) -> Script:
    """A script that sends events, then ends in good order, is cut, or says nothing more."""

    async def script(call: Call) -> None:
        await begin(call, *fields)
        await chunks(call, found)
        if then == "end":
            await end(call)
        elif then == "cut":
            call.reset()
            raise ConnectionError
        else:
            await call.gone()
            raise ConnectionError

    return script


whole = streaming(*events(), DONE)


async def other(call: Call) -> None:
    await call.answer(b'{"choices": []}', "200 OK", "Content-Type: application/json")


def play(*scripts: Script, ask: Callable[[RunningGateway, list[Upstream]], Awaitable[Any]], **route: Any) -> Any:
    """Run a gateway with one target for each script, and `ask` something of it."""

    async def main() -> Any:
        async with contextlib.AsyncExitStack() as stack:
            served = [await stack.enter_async_context(upstream(script)) for script in scripts]
            config = plain(*(each.url for each in served), **{"kind": "inference", "read_model": False, **route})
            config |= {"access_log": "-", "admin": {"address": "127.0.0.1:0"}}
            async with gateway(config) as gate:
                return await ask(gate, served)

    return asyncio.run(main())


async def post(gate: RunningGateway, served: list[Upstream]) -> tuple[Answer, list[int]]:
    answer = await fetch(gate.port, "POST", PATH, b'{"stream": true}')
    return answer, [len(each.calls) for each in served]
