"""One request, several targets: the first good answer, or all of them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from ...http_client import Answer, client, fetch
from ...upstream import Call, Script
from .fan import BOUND_S, JSON, SSE_HEAD, Fan, Stand, silent, streaming

NUM_EACH = 20


async def good(call: Call) -> None:
    await call.answer(b'{"good": true}', "200 OK", JSON)


async def echo(call: Call) -> None:
    await call.answer(call.body)


async def reset(call: Call) -> None:
    call.reset()
    raise ConnectionError


def failing(status: str) -> Script:
    async def script(call: Call) -> None:
        await call.answer(status.encode(), status)

    return script


def together(number: int, script: Script) -> list[Script]:
    """Return scripts that play `script` only once all of them were asked: so that nobody has won before."""
    asked = 0
    are_all_asked = asyncio.Event()

    async def play(call: Call) -> None:
        nonlocal asked
        asked += 1
        if asked % number == 0:
            are_all_asked.set()
        await are_all_asked.wait()
        await script(call)

    return [play] * number


def giving(body: bytes, *fields: str) -> Script:
    async def script(call: Call) -> None:
        await call.answer(body, "200 OK", *fields)

    return script


def test_the_fast_one_wins_and_the_others_are_left_at_once(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        async def when_all_were_asked(call: Call) -> None:
            asked = len(made.targets[1].calls)
            for number in (0, 2):
                await made.targets[number].until(lambda number=number: len(made.targets[number].calls) == asked)  # type: ignore[misc]
            await good(call)

        made.targets[1].script = when_all_were_asked
        delays = []
        for _ in range(NUM_EACH):
            made.left_at.clear()
            answer = await fetch(made.gate.port, "POST", "/x", b"{}")
            answered_at = time.monotonic()
            assert (answer.status, answer.body, answer.is_whole) == (200, b'{"good": true}', True)
            assert answer.field("x-headgate-target") == "t1"
            delays.append(await made.until_left(0, 2) - answered_at)
        assert max(delays) <= BOUND_S
        await made.gate.until(lambda: len(made.log()) == NUM_EACH)

    fan.run("first", test, silent, good, silent)


def test_a_good_answer_that_comes_later_beats_a_bad_one(fan: Fan) -> None:
    is_bad_there = asyncio.Event()

    async def bad(call: Call) -> None:
        await call.answer(b"no", "503 Service Unavailable")
        is_bad_there.set()

    async def later(call: Call) -> None:
        await is_bad_there.wait()
        await good(call)

    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port)
        assert (answer.status, answer.field("x-headgate-target")) == (200, "t1")

    fan.run("first", test, bad, later)


def test_where_all_fail_the_least_bad_answer_is_given(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port)
        assert (answer.status, answer.body) == (404, b"404 Not Found")

    fan.run("first", test, failing("500 No"), failing("404 Not Found"), reset)


def test_where_no_target_answers_there_is_one_typed_error(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port, "POST", "/v1/x", b"{}")
        assert (answer.status, answer.json()["error"]["code"]) == (502, "reset")
        assert [len(target.calls) for target in made.targets] == [1, 1]
        await made.gate.until(lambda: made.log())
        assert made.log()[0]["error"] == "reset"

    fan.run("first", test, reset, reset)


@pytest.mark.parametrize("strategy", ["first", "all"])
def test_a_body_that_comes_in_pieces_is_sent_whole_to_each_target_once(fan: Fan, strategy: str) -> None:
    body = b"".join(b"piece %d;" % number for number in range(2_000))

    async def test(made: Stand) -> None:
        async with client(made.gate.port) as connected:
            connected.writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
            await connected.writer.drain()
            await asyncio.sleep(0.05)  # the gateway has begun to wait for it
            for at in range(0, len(body), 5_000):
                connected.writer.write(body[at : at + 5_000])
                await connected.writer.drain()
                await asyncio.sleep(0.01)
            answer = await connected.answer("POST")
        assert answer.status == 200
        assert [[call.body for call in target.calls] for target in made.targets] == [[body]] * 3

    fan.run(strategy, test, *together(3, echo))


@pytest.mark.parametrize("strategy", ["first", "all"])
@pytest.mark.parametrize("bound", [{"replay_buffer": "1KiB"}, {"options": {"max_body_bytes": 1024}}])
def test_a_body_too_large_to_be_sent_to_several_is_refused_before_anybody_is_asked(
    fan: Fan, strategy: str, bound: dict[str, Any]
) -> None:
    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port, "POST", "/x", b"x" * 2_000)
        assert answer.status == 413
        assert [target.calls for target in made.targets] == [[], []]

    fan.run(strategy, test, echo, echo, **bound)


def test_the_winner_is_streamed_event_by_event(fan: Fan) -> None:
    turns: asyncio.Queue[int] = asyncio.Queue()

    async def events(call: Call) -> None:
        await call.send(SSE_HEAD)
        for number in range(10):
            await call.send(b"9\r\ndata: %d\n\n\r\n" % number)
            assert await turns.get() == number  # the client has it: only then comes the next
        await call.send(b"0\r\n\r\n")

    async def test(made: Stand) -> None:
        async with client(made.gate.port) as connected:
            await connected.send("GET", "/events")
            for number in range(10):
                await asyncio.wait_for(connected.reader.readuntil(b"data: %d\n\n" % number), 5)
                turns.put_nowait(number)
            await asyncio.wait_for(connected.reader.readuntil(b"\r\n0\r\n\r\n"), 5)

    fan.run("first", test, events, silent)


def test_a_winner_that_is_cut_is_shown_as_cut(fan: Fan) -> None:
    async def half(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        call.reset()
        raise ConnectionError

    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port)
        assert (answer.status, answer.is_whole) == (200, False)

    fan.run("first", test, half, silent)


@pytest.mark.parametrize("strategy", ["first", "all"])
def test_a_client_that_leaves_takes_every_branch_with_it(fan: Fan, strategy: str) -> None:
    async def test(made: Stand) -> None:
        delays = []
        for number in range(NUM_EACH):
            made.left_at.clear()
            async with client(made.gate.port) as leaving:
                await leaving.send("POST", "/x", b"{}")
                for target in made.targets:
                    await target.until(lambda target=target, number=number: len(target.calls) > number)  # type: ignore[misc]
                left_at = time.monotonic()
            delays.append(await made.until_left(0, 1, 2) - left_at)
        assert max(delays) <= BOUND_S
        await made.gate.until(lambda: len(made.log()) == NUM_EACH)
        assert {line["error"] for line in made.log()} == {"client_gone"}

    fan.run(strategy, test, silent, silent, silent)


def test_a_client_that_leaves_a_winning_stream_closes_it(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as leaving:
            await leaving.send("GET", "/x")
            await asyncio.wait_for(leaving.reader.readuntil(b"data: first\n\n"), 5)
            left_at = time.monotonic()
        assert await made.until_left(0) - left_at <= BOUND_S

    fan.run("first", test, streaming, silent)


def branches(answer: Answer) -> list[tuple[str, str, int | None, str | None]]:
    return [(one["target"], one["outcome"], one["status"], one["error"]) for one in answer.json()["branches"]]


def test_all_tells_what_became_of_every_branch_in_the_order_of_the_targets(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        began = time.monotonic()
        answer = await fetch(made.gate.port, "POST", "/x", b"asked")
        took_s = time.monotonic() - began
        assert answer.status == 200
        assert answer.json()["is_partial"] is True
        assert branches(answer) == [
            ("t0", "timeout", None, None),
            ("t1", "ok", 200, None),
            ("t2", "error", 500, None),
            ("t3", "error", None, "reset"),
            ("t4", "timeout", None, None),
        ]
        assert 0.4 <= took_s <= 0.5 + BOUND_S
        assert await made.until_left(0, 4) - (began + took_s) <= BOUND_S
        assert [call.body for target in made.targets for call in target.calls] == [b"asked"] * 5

    fan.run("all", test, silent, good, failing("500 No"), reset, streaming, deadline="500ms")


def test_a_client_may_shorten_the_deadline_of_all(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        began = time.monotonic()
        answer = await fetch(made.gate.port, "GET", "/x", None, "X-Headgate-Deadline-Ms: 300")
        assert time.monotonic() - began <= 0.3 + BOUND_S
        assert [outcome for _, outcome, _, _ in branches(answer)] == ["ok", "timeout"]

    fan.run("all", test, good, silent)


def test_all_with_no_good_branch_is_no_good_answer(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port)
        assert answer.status == 502
        assert branches(answer) == [("t0", "error", 503, None), ("t1", "error", None, "reset")]

    fan.run("all", test, failing("503 No"), reset)


def test_all_shows_json_text_and_bytes_as_they_came(fan: Fan) -> None:
    exact = b'{"big": 123456789012345678901234567890, "one": 1.0, "twice": 1, "twice": 2}'
    deep = b'{"a":' * 600 + b"1" + b"}" * 600

    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port)
        assert answer.status == 200 and answer.json()["is_partial"] is False
        bodies = [one["body"] for one in answer.json()["branches"]]
        assert exact in answer.body
        assert bodies[0]["big"] == 123456789012345678901234567890
        assert deep in answer.body
        assert bodies[2:] == ["text \u00e9", {"base64": "/wA="}, "{no json", ""]

    fan.run(
        "all",
        test,
        giving(exact, "Content-Type: application/json; charset=utf-8"),
        giving(deep, JSON),
        giving("text \u00e9".encode(), "Content-Type: text/plain"),
        giving(b"\xff\x00", "Content-Type: application/octet-stream"),
        giving(b"{no json", JSON),
        giving(b"", JSON),
    )


def test_a_branch_that_answers_too_much_is_an_error_and_costs_the_others_nothing(fan: Fan) -> None:
    async def test(made: Stand) -> None:
        answer = await fetch(made.gate.port)
        assert branches(answer) == [("t0", "error", None, "answer_too_large"), ("t1", "ok", 200, None)]

    fan.run("all", test, giving(b"x" * 1_001), giving(b"x" * 1_000), options={"max_branch_bytes": 1_000})


def test_a_branch_that_is_cut_is_an_error(fan: Fan) -> None:
    async def half(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        call.reset()
        raise ConnectionError

    async def test(made: Stand) -> None:
        assert branches(await fetch(made.gate.port)) == [("t0", "error", None, "truncated"), ("t1", "ok", 200, None)]

    fan.run("all", test, half, good)
