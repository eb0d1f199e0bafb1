"""A stream of a service that cannot resume, cut after any event, goes on from its text: the client sees one answer."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest

from ...running import gateway, plain
from ...upstream import Call, upstream
from .scripts import STREAM_HEAD, chunk
from .ways import MESSAGES, Door

TEXT = "Die 猫 sagt: »Käse« 🚀, und geht."
WORDS = [TEXT[at : at + 4] for at in range(0, len(TEXT), 4)]


def piece(name: str, delta: dict[str, str], reason: str | None = None) -> bytes:
    """Return an event with an id of its own, so that the client remembers one."""
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    value = {"id": name, "object": "chat.completion.chunk", "created": len(name), "model": "m", "choices": choices}
    return b"id: 7\ndata: %b\n\n" % json.dumps(value).encode()


def pieces(name: str, text: str) -> list[bytes]:
    words = [text[at : at + 4] for at in range(0, len(text), 4)]
    role = piece(name, {"role": "assistant", "content": ""})
    usage = {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)}
    told = {"id": name, "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}
    last = [piece(name, {}, "stop"), b"data: %b\n\n" % json.dumps(told).encode(), b"data: [DONE]\n\n"]
    return [role, *(piece(name, {"content": word}) for word in words), *last]


class Service:
    """Cuts every answer that is not a continuation after `after` events; refuses continuations where it should."""

    def __init__(self) -> None:
        self.after = 0
        self.is_refusing = False

    async def script(self, call: Call) -> None:
        last = json.loads(call.body)["messages"][-1]
        if last["role"] != "assistant":
            found = pieces("chatcmpl-first", TEXT)[: self.after]
            await call.send(STREAM_HEAD + b"".join(map(chunk, found)))
            call.reset()
            raise ConnectionError
        if self.is_refusing:
            await call.answer(b'{"error": {"message": "no prefill"}}', "400 No", "Content-Type: application/json")
            return
        assert TEXT.startswith(last["content"])
        found = pieces("chatcmpl-second", TEXT[len(last["content"]) :])
        await call.send(STREAM_HEAD + b"".join(map(chunk, found)) + b"0\r\n\r\n")


async def ask(door: Door) -> tuple[str, list[str | None], set[str], bool]:
    """Return the text, the finish_reasons, the ids of the chunks, and whether the usage came."""
    async with door.asynchronous() as client:
        stream = await client.chat.completions.create(
            model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        text, reasons, ids, has_usage = "", [], set(), False
        async for told in stream:
            ids.add(told.id)
            has_usage = has_usage or told.usage is not None
            for choice in told.choices:
                text += choice.delta.content or ""
                reasons += [choice.finish_reason] if choice.finish_reason else []
        return text, list(reasons), ids, has_usage


def test_the_client_sees_one_answer_wherever_it_is_cut() -> None:
    async def main() -> None:
        service = Service()
        async with upstream(service.script) as served:
            config = plain(served.url, kind="inference", targets=[{"cluster": "t0", "prefill": "prefix"}])
            config["clusters"]["t0"] |= {"retry_budget": {"floor": 1000}}
            async with gateway(config) as gate:
                door = Door(f"http://127.0.0.1:{gate.port}/v1", "none")
                for service.after in range(2, len(WORDS) + 2):
                    assert await ask(door) == (TEXT, ["stop"], {"chatcmpl-first"}, True), service.after
                service.is_refusing = True
                with pytest.raises(openai.APIError, match="cut short"):
                    await ask(door)

    asyncio.run(main())
