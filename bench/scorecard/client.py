"""One client, and what it sees."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from .scenario import HEAVY_TEXT, LITE_TEXT

_BOUND_S = 60.0
_TEXTS = {HEAVY_TEXT: "heavy", LITE_TEXT: "lite"}


@dataclass(slots=True)
class Seen:
    """What came of one request. `end` is in the words of a scenario, or says what was wrong."""

    end: str
    text: str
    target: str
    error: str
    seconds: float


async def ask(session: aiohttp.ClientSession, url: str, *, is_stream: bool) -> Seen:
    """Ask for a completion and look at the whole answer."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    body = {"model": "auto", "messages": [{"role": "user", "content": "?"}], "stream": is_stream}
    status, raw, is_cut, target = 0, b"", False, ""
    try:
        async with asyncio.timeout(_BOUND_S):
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                status, target = response.status, response.headers.get("x-headgate-target", "")
                async for piece in response.content.iter_any():
                    raw += piece
    except aiohttp.ClientError:
        is_cut = True
    except TimeoutError:
        return Seen("hangs", "", target, "", loop.time() - began)
    seconds = loop.time() - began
    if status != 200:
        return _refused(status, raw, target, seconds)
    return (_streamed if is_stream else _whole)(raw, is_cut, target, seconds)


def _refused(status: int, raw: bytes, target: str, seconds: float) -> Seen:
    code = _code(raw)
    is_own = status >= 500 or code in ("rate_limited",)
    return Seen("error" if is_own and code else str(status), "", target, f"{status} {code}", seconds)


def _streamed(raw: bytes, is_cut: bool, target: str, seconds: float) -> Seen:
    text, reason, error, is_done, is_last = "", "", "", False, True
    for value in _events(raw):
        is_last = is_last and not error
        if value is None:
            is_done = True
        elif value.get("error"):
            error = str(value["error"].get("code"))
        else:
            for choice in value.get("choices", ()):
                text += choice.get("delta", {}).get("content") or ""
                reason = choice.get("finish_reason") or reason
    if error and (is_done or reason or not is_cut):
        end = "an error, and an end as if all were well"
    elif error:
        end = "error" if is_last else "an error, and then more"
    elif is_cut or not is_done:
        end = "cut without a word"
    else:
        end = _judged(text, reason)
    return Seen(end, text, target, error, seconds)


def _whole(raw: bytes, is_cut: bool, target: str, seconds: float) -> Seen:
    if is_cut:
        return Seen("error", "", target, "visibly cut", seconds)
    choice = orjson.loads(raw)["choices"][0]
    text = choice["message"]["content"]
    return Seen(_judged(text, choice["finish_reason"]), text, target, "", seconds)


def _judged(text: str, reason: str) -> str:
    if reason == "content_filter":
        return "cut off by the filter"
    if not reason:
        return "whole without a finish_reason"
    return _TEXTS.get(text, "text that nobody said")


def _events(raw: bytes) -> Iterator[dict[str, Any] | None]:
    for block in raw.split(b"\n\n"):
        for line in block.splitlines():
            data = line.removeprefix(b"data: ")
            if line.startswith(b"data: "):
                yield None if data == b"[DONE]" else orjson.loads(data)


def _code(raw: bytes) -> str:
    try:
        value = orjson.loads(raw)
        return str(value["error"]["code"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
