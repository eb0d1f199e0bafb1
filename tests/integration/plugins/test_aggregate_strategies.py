"""Every strategy of the plugin `aggregate` over real sockets: who is cut, what it costs, what a stream looks like."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from openai import AsyncOpenAI

from ...http_client import client, fetch
from ...upstream import Call, Script
from .fan import BOUND_S, JSON, SSE_HEAD, Fan, Stand, silent, streaming

STRATEGIES: dict[str, dict[str, Any]] = {
    "first": {},
    "all": {"branches": {"t0": {"required": True}}},
    "quorum": {"votes": 1},
    "best_of": {"branches": {"t0": {"required": True}}},
    "merge": {"branches": {"t0": {"required": True}}},
    "judge": {"branches": {"t0": {"required": True}}, "judge": {"target": "t2", "timeout": "1s"}},
}


def completion(text: str, prompt: int = 3, answered: int = 4) -> bytes:
    usage = {"prompt_tokens": prompt, "completion_tokens": answered}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"id": text, "choices": [choice], "usage": usage}).encode()


def saying(text: str, prompt: int = 3, answered: int = 4) -> Script:
    async def script(call: Call) -> None:
        await call.answer(completion(text, prompt, answered), "200 OK", JSON)

    return script


def chunk(text: str, reason: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    value = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}], "usage": usage}
    data = b"data: %b\n\n" % json.dumps(value).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
ASK = json.dumps({"model": "m", "messages": []}).encode()
ASK_STREAM = json.dumps({"model": "m", "stream": True, "messages": []}).encode()


LOSERS = [
    (strategy, loser)
    for strategy in STRATEGIES
    for loser in (silent, streaming)
    if (strategy, loser) != ("first", streaming)  # its head may win
]


@pytest.mark.parametrize(("strategy", "loser"), LOSERS)
def test_a_branch_that_is_not_needed_is_left_at_once(fan: Fan, strategy: str, loser: Script) -> None:
    async def test(made: Stand) -> None:
        async def when_both_were_asked(call: Call) -> None:
            await made.targets[1].until(lambda: made.targets[1].calls)
            await saying("good")(call)

        made.targets[0].script = when_both_were_asked
        answer = await fetch(made.gate.port, "POST", "/v1/chat/completions", ASK)
        answered_at = time.monotonic()
        assert (answer.status, answer.is_whole) == (200, True)
        assert await made.until_left(1) - answered_at <= BOUND_S
        assert answer.field("x-headgate-branches") is not None

    fan.run(strategy, test, silent, loser, silent, options=STRATEGIES[strategy])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_client_that_leaves_takes_every_branch_with_it(fan: Fan, strategy: str) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as leaving:
            await leaving.send("POST", "/x", b"{}")
            for target in made.targets[:2]:
                await target.until(lambda target=target: target.calls)  # type: ignore[misc]
            left_at = time.monotonic()
        assert await made.until_left(0, 1) - left_at <= BOUND_S
        await made.gate.until(lambda: made.log())
        (line,) = made.log()
        assert line["error"] == "client_gone"
        assert line["extra"]["branches"].count("outcome=skipped;reason=abandoned") >= 2

    fan.run(strategy, test, silent, silent, silent, options=STRATEGIES[strategy])


def test_a_client_that_leaves_while_the_judge_thinks_takes_it_with_it(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as leaving:
            await leaving.send("POST", "/x", b"{}")
            await made.targets[2].until(lambda: made.targets[2].calls)
            left_at = time.monotonic()
        assert await made.until_left(2) - left_at <= BOUND_S

    judge = {"judge": {"target": "t2", "timeout": "8s"}}
    fan.run("judge", test, saying("a"), saying("b"), silent, options=judge)


def test_what_all_branches_cost_is_what_the_exchange_costs(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port, "POST", "/v1/chat/completions", ASK)
        assert answer.json()["choices"][0]["message"]["content"] == "b"
        await made.gate.until(lambda: made.log())
        (line,) = made.log()
        assert (line["prompt_tokens"], line["completion_tokens"]) == (3 + 10 + 100, 4 + 20 + 1)
        assert "prompt=3;completion=4" in line["extra"]["branches"]
        assert "prompt=10;completion=20" in line["extra"]["branches"]
        assert "judge;prompt=100;completion=1" in line["extra"]["branches"]

    judge = {"judge": {"target": "t2"}}
    fan.run("judge", test, saying("a"), saying("b", 10, 20), saying("1", 100, 1), options=judge, kind="inference")


def test_what_a_winner_and_a_loser_that_answered_cost_is_added(fan: Fan) -> None:
    async def lost(call: Call) -> None:
        usage = {"prompt_tokens": 10, "completion_tokens": 2}
        await call.send(SSE_HEAD + chunk("x", usage=usage))

    async def won(call: Call) -> None:
        await call.send(SSE_HEAD + chunk("y") + chunk("", "stop", {"prompt_tokens": 3, "completion_tokens": 4}) + END)

    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port, "POST", "/v1/chat/completions", ASK_STREAM)
        assert answer.is_whole
        await made.gate.until(lambda: made.log())
        (line,) = made.log()
        assert (line["prompt_tokens"], line["completion_tokens"]) == (3, 4)

    fan.run("first", test, won, silent, kind="inference")

    has_lead = asyncio.Event()

    async def both(made: Stand) -> None:
        async with client(made.gate.port) as asking:
            await asking.send("POST", "/v1/chat/completions", ASK_STREAM)
            await asyncio.wait_for(asking.reader.readuntil(b'"y"'), 5)
            has_lead.set()
            await asyncio.wait_for(asking.reader.readuntil(b"data: [DONE]\n\n\r\n0\r\n\r\n"), 5)
        await made.gate.until(lambda: made.log())
        (line,) = made.log()
        assert (line["prompt_tokens"], line["completion_tokens"]) == (3 + 10, 4 + 2)

    async def lost_late(call: Call) -> None:
        await has_lead.wait()  # who begins first has no time of its own any more
        await lost(call)
        await call.gone()
        raise ConnectionError

    late = {"branches": {"t1": {"timeout": "1s"}}}
    fan.run("all", both, won, lost_late, kind="inference", options=late)


def test_a_stream_shows_the_first_answer_at_once_and_the_others_when_they_come(fan: Fan) -> None:
    may_go_on, may_answer = asyncio.Event(), asyncio.Event()

    async def lead(call: Call) -> None:
        await call.send(SSE_HEAD + chunk("one"))
        await may_go_on.wait()
        await call.send(chunk("two", "stop") + END)

    async def other(call: Call) -> None:
        await may_answer.wait()
        await saying("late")(call)

    async def test(made: Stand) -> None:
        async with client(made.gate.port) as reading:
            await reading.send("POST", "/v1/chat/completions", ASK_STREAM)
            await asyncio.wait_for(reading.reader.readuntil(b'"one"'), 5)  # while neither has ended
            may_answer.set()
            await asyncio.wait_for(reading.reader.readuntil(b"event: headgate.part"), 5)
            may_go_on.set()
            rest = await asyncio.wait_for(reading.reader.readuntil(b"0\r\n\r\n"), 5)
            assert rest.index(b'"two"') < rest.index(b"event: headgate.end") < rest.index(b"data: [DONE]")

    fan.run("all", test, lead, other, kind="inference")


def test_a_lead_that_is_cut_ends_in_one_error_event_and_a_connection_that_is_cut(fan: Fan) -> None:
    async def cut(call: Call) -> None:
        await call.send(SSE_HEAD + chunk("one"))
        await is_read.wait()
        call.reset()
        raise ConnectionError

    is_read = asyncio.Event()

    async def test(made: Stand) -> None:
        async with client(made.gate.port) as reading:
            await reading.send("POST", "/v1/chat/completions", ASK_STREAM)
            await asyncio.wait_for(reading.reader.readuntil(b'"one"'), 5)
            await made.targets[1].until(lambda: made.targets[1].calls)  # else it may be left before it is asked
            is_read.set()
            rest = await asyncio.wait_for(reading.reader.read(), 5)
        assert rest.count(b'data: {"error"') == 1 and b"headgate.end" not in rest and not rest.endswith(b"0\r\n\r\n")
        await made.until_left(1)
        await made.gate.until(lambda: made.log())
        assert made.log()[0]["error"] == "truncated"

    fan.run("all", test, cut, silent, kind="inference", on_break="error")


def test_the_metrics_count_each_branch_by_its_outcome(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        assert (await fetch(made.gate.port, "POST", "/x", b"{}")).status == 200
        shown = await fetch(made.gate.admin_port, "GET", "/metrics", None, "Authorization: Bearer token")
        for branch, outcome in (("t0", "ok"), ("named", "error")):
            labels = f'route="{made.route}",branch="{branch}",outcome="{outcome}"'
            assert f"headgate_aggregate_branches_total{{{labels}}} 1".encode() in shown.body

    async def bad(call: Call) -> None:
        await call.answer(b"no", "500 No")

    fan.run("all", test, saying("a"), bad, options={"branches": {"t1": {"name": "named"}}})


def test_the_openai_client_reads_such_a_stream_and_skips_what_is_not_its_own(fan: Fan) -> None:
    async def lead(call: Call) -> None:
        await call.send(SSE_HEAD + chunk("one ") + chunk("two", "stop") + END)

    async def bad(call: Call) -> None:
        await call.answer(b"no", "500 No")

    async def test(made: Stand) -> None:
        async with AsyncOpenAI(base_url=f"http://127.0.0.1:{made.gate.port}/v1", api_key="x", max_retries=0) as asking:
            stream = await asking.chat.completions.create(model="m", messages=[], stream=True)
            deltas = [choice.delta.content async for event in stream for choice in event.choices]
        assert "".join(delta or "" for delta in deltas) == "one two"

    fan.run("all", test, lead, bad, saying("three"), kind="inference", retry={"attempts": 1})
