"""What a scripted upstream does with one request."""

from __future__ import annotations

import asyncio
import json
import threading

from ...running import WAIT_S
from ...upstream import Call, Script

TEXT = "hello"
_THEIRS = {"type": "their_type", "code": "their_code"}


def _whole() -> bytes:
    message = {"role": "assistant", "content": TEXT}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({**_common("chat.completion"), "choices": choices}).encode()


def event(text: str, finish_reason: str | None = None) -> bytes:
    """Return one streamed piece of an answer."""
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]
    return b"data: %b\n\n" % json.dumps({**_common("chat.completion.chunk"), "choices": choices}).encode()


def _common(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "m"}


def is_stream(call: Call) -> bool:
    return json.loads(call.body).get("stream") is True


def chunk(data: bytes) -> bytes:
    """Frame a piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def good(call: Call) -> None:
    """Answer well, streamed where that was asked for."""
    if not is_stream(call):
        await call.answer(_whole(), "200 OK", "Content-Type: application/json")
        return
    pieces = [event(TEXT[:2]), event(TEXT[2:]), event("", "stop"), b"data: [DONE]\n\n"]
    await call.send(STREAM_HEAD + b"".join(map(chunk, pieces)) + b"0\r\n\r\n")


def refuse(status: int, *fields: str) -> Script:
    """Refuse in OpenAI's words."""

    async def script(call: Call) -> None:
        error = {
            "message": f"refused with {status}",
            "type": "their_type",
            "param": "their_param",
            "code": "their_code",
        }
        await call.answer(
            json.dumps({"error": error}).encode(), f"{status} No", "Content-Type: application/json", *fields
        )

    return script


async def reset(call: Call) -> None:
    """Close the connection without a word."""
    call.reset()
    raise ConnectionError


async def silent(call: Call) -> None:
    """Say nothing until the gateway gives up."""
    await call.gone()
    raise ConnectionError


async def malformed(call: Call) -> None:
    """Answer what is not HTTP."""
    await call.send(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nno")
    raise ConnectionError


async def cut_short(call: Call) -> None:
    """Send part of an answer, then close."""
    if is_stream(call):
        await call.send(STREAM_HEAD + chunk(event(TEXT[:2])))
    else:
        body = _whole()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        await call.send(head + body[:-1])
    raise ConnectionError


async def stall(call: Call) -> None:
    """Send part of a stream, then nothing."""
    await call.send(STREAM_HEAD + chunk(event(TEXT[:2])))
    await silent(call)


def error_event(has_begun: threading.Event) -> Script:
    """Report an error inside a stream, once the client has its beginning."""

    async def script(call: Call) -> None:
        error = b'data: {"error": {"message": "out of memory", "type": "their_type", "code": "their_code"}}\n\n'
        await call.send(STREAM_HEAD + chunk(event(TEXT[:2])))
        assert await asyncio.to_thread(has_begun.wait, WAIT_S)
        await call.send(chunk(error) + b"0\r\n\r\n")

    return script


async def error_event_first(call: Call) -> None:
    """Report an error as the first event."""
    error = b'data: {"error": {"message": "out of memory"}}\n\n'
    await call.send(STREAM_HEAD + chunk(error) + b"0\r\n\r\n")
