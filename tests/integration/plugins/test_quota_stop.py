"""Streams that `quota` stops, in a gateway that serves."""

from __future__ import annotations

import asyncio
import json

import pytest

from ...http_client import Answer, client, fetch
from ...running import WAYS, RunningGateway, gateway
from ...upstream import Call, Script, upstream
from ..proxy.completions import DONE, PATH, begin, chunks, end, event, events
from .quota_gateway import KEY, OTHER, PEPPER, PROMPT_TOKENS, READY_S, answered, both_ways, config_of, play

STOPPED_TOKENS = 100
STOPPING = {
    "limits": [{"by": "key", "per": "total", "max_tokens": STOPPED_TOKENS}],
    "on_exceeded": "stop",
    "default_max_tokens": 5,
}


def endless(num_at_once: int, gone: asyncio.Event) -> Script:
    """A service that answers until it is left."""

    async def script(call: Call) -> None:
        await begin(call)
        try:
            while True:
                await chunks(call, [b"".join(event(number, "word ") for number in range(num_at_once))])
                await asyncio.sleep(0)
        except ConnectionError:
            gone.set()
            raise

    return script


def unlimited(*, is_stream: bool = True) -> bytes:
    """A request that sets no maximum; its prompt is estimated at PROMPT_TOKENS."""
    return json.dumps({"model": "m", "stream": is_stream, "messages": []}).encode().ljust(4 * PROMPT_TOKENS)


@both_ways
@pytest.mark.parametrize("num_at_once", [1, 7, 200])
def test_a_stream_is_stopped_at_the_limit_by_a_typed_end(lane: str, num_at_once: int) -> None:
    """To the event, however many come in a piece; the service is left at once."""
    gone = asyncio.Event()

    async def ask(gate: RunningGateway) -> list[Answer]:
        async with client(gate.port) as asking:
            await asking.send("POST", PATH, unlimited(), f"Authorization: Bearer {KEY}")
            stopped = await asking.answer("POST")
            assert await asking.reader.read() == b""  # no other answer comes on this connection
        async with asyncio.timeout(READY_S):
            await gone.wait()
        await gate.until(lambda: gate.log())
        answers = [stopped]
        for key in (KEY, OTHER):
            answers.append(await fetch(gate.port, "POST", PATH, unlimited(), f"Authorization: Bearer {key}"))
        line = gate.log()[0]
        assert (line["status"], line["error"]) == (200, "quota_exceeded")
        assert line["detail"] == "quota: key/total, in a stream"
        return answers

    stopped, refused, other = play(endless(num_at_once, gone), ask, lane, **STOPPING)
    *given, last, rest = stopped.body.split(b"\n\n")
    assert (stopped.status, stopped.is_whole, rest) == (200, False, b"")
    assert len(given) == STOPPED_TOKENS - PROMPT_TOKENS and all(b"word " in each for each in given)
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "quota_exceeded")
    assert error["message"] == (
        "the quota of this key is 100 tokens in total, and used up within this answer: it is not renewed"
    )
    assert (refused.status, refused.json()["error"]["code"]) == (403, "quota_exceeded")
    assert "0 tokens left" in refused.json()["error"]["message"]
    assert other.status == 200


@both_ways
def test_a_stream_that_is_within_the_limit_is_whole_where_others_would_be_stopped(lane: str) -> None:
    async def script(call: Call) -> None:
        await begin(call)
        await chunks(call, [*events(), DONE])
        await end(call)

    async def ask(gate: RunningGateway) -> tuple[Answer, Answer]:
        fields = f"Authorization: Bearer {KEY}"
        async with client(gate.port) as asking:  # one connection: what it asked before is settled
            whole = await asking.request("POST", PATH, unlimited(), fields)
            return whole, await asking.request("POST", PATH, unlimited(), fields)

    whole, again = play(script, ask, lane, **STOPPING)
    assert whole.is_whole and whole.body == b"".join([*events(), DONE])
    left = STOPPED_TOKENS - PROMPT_TOKENS - len(events()) - PROMPT_TOKENS - 5
    assert again.field("ratelimit") == f'"quota/key/total/tokens";r={left}'


@both_ways
def test_an_error_that_comes_with_the_first_piece_is_told_and_nothing_goes_on_behind_it(lane: str) -> None:
    """They come in one read, in which the answer begins and is handed to whoever meters it."""
    error = b'data: {"error": {"message": "broken", "type": "server_error"}}\n\n'

    async def script(call: Call) -> None:
        await begin(call)
        await chunks(call, [b"".join([events()[0], error, *events()[1:], DONE])])
        await end(call)

    async def ask(gate: RunningGateway) -> tuple[Answer, str]:
        answer = await fetch(gate.port, "POST", PATH, unlimited(), f"Authorization: Bearer {KEY}")
        await gate.until(lambda: len(gate.log()) == 1)
        return answer, gate.log()[0]["error"]

    answer, told = play(script, ask, lane, **STOPPING)
    assert told == "error_event"
    assert answer.body.startswith(events()[0]) and answer.body.count(b"data: ") == 2 and b'"error"' in answer.body


@pytest.mark.parametrize(("on_exceeded", "ways"), [("charge", {"inline": 4}), ("stop", {"inline": 3, "taken_over": 1})])
def test_only_streams_that_may_be_stopped_leave_the_lane(on_exceeded: str, ways: dict[str, int]) -> None:
    """An answer as a whole does not, nor does a refusal."""

    async def script(call: Call) -> None:
        if b'"stream": true' not in call.body:
            return await answered(call)
        await begin(call)
        await chunks(call, [*events(), DONE])
        await end(call)

    async def main() -> tuple[list[int], str]:
        async with upstream(script) as served:
            config = config_of(served, **{**STOPPING, "on_exceeded": on_exceeded})
            config["admin"] = {"address": "127.0.0.1:0"}
            async with gateway(config, PEPPER=PEPPER, **WAYS["lane"]) as gate, client(gate.port) as asking:
                fields = f"Authorization: Bearer {KEY}"
                whole = unlimited(is_stream=False)
                bodies = whole, whole, unlimited(), whole.ljust(1000)
                statuses = [(await asking.request("POST", PATH, body, fields)).status for body in bodies]
                await gate.until(lambda: len(gate.log()) == 4)
                return statuses, (await fetch(gate.admin_port, "GET", "/metrics")).body.decode()

    statuses, metrics = asyncio.run(main())
    assert statuses == [200, 200, 200, 403]
    for way, number in ways.items():
        assert f'headgate_served_total{{way="{way}"}} {number}' in metrics.splitlines()
