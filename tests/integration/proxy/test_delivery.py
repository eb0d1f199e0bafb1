"""Hedge, resume, breaker and context growth, on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from ...http_client import Answer, client, fetch
from ...running import RunningGateway
from ...upstream import Call, Script, Upstream
from .completions import (
    DONE,
    PATH,
    WORDS,
    begin,
    chunks,
    end,
    events,
    other,
    play,
    post,
    streaming,
    whole,
)


def test_a_slow_target_is_asked_a_second_time_and_the_loser_is_aborted() -> None:
    loser_gone = asyncio.Event()
    seen = 0

    async def first_slow(call: Call) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            await call.gone()
            loser_gone.set()
            raise ConnectionError
        await whole(call)

    async def ask(gate: RunningGateway, served: list[Upstream]) -> tuple[Answer, int]:
        answer = await fetch(gate.port, "POST", PATH, b"{}")
        await asyncio.wait_for(loser_gone.wait(), 5)
        return answer, len(served[0].calls)

    answer, calls = play(first_slow, ask=ask, hedge={"after": "200ms"})
    assert (answer.body, calls) == (b"".join(events()) + DONE, 2)
    assert answer.field("x-headgate-attempts") == "2"
    assert answer.field("x-headgate-fallback") is None


def test_a_fast_target_is_asked_once() -> None:
    answer, calls = play(whole, ask=post, hedge={"after": "5s"})
    assert (answer.is_whole, calls) == (True, [1])


def resumable(cut_after: int, *, numerics: Sequence[str] = ("n1", "n1")) -> Script:
    """A service that resumes: cut after so many events at first, and then from where it is told."""
    seen = 0

    async def script(call: Call) -> None:
        nonlocal seen
        seen += 1
        cursors = json.loads(call.body).get("headgate_resume", [])
        assert cursors == [f"cursor-{number}" for number in range(len(cursors))]
        assert not cursors or call.fields("x-headgate-numerics") == ["n1"]
        await begin(call, f"x-headgate-numerics: {numerics[min(seen, len(numerics)) - 1]}")
        found = events(is_marked=True)[len(cursors) :]
        if seen == 1:
            await chunks(call, found[:cut_after])
            call.reset()
            raise ConnectionError
        await chunks(call, [*found, DONE])
        await end(call)

    return script


@pytest.mark.parametrize("cut_after", range(1, len(WORDS) + 1))
def test_a_cut_stream_goes_on_exactly_where_it_stopped(cut_after: int) -> None:
    answer, calls = play(resumable(cut_after), ask=post)
    found = events(is_marked=True)
    comment = b": headgate target=t0 attempts=2\n"
    assert answer.is_whole
    assert answer.body == b"".join(found[:cut_after]) + comment + b"".join(found[cut_after:]) + DONE
    assert calls == [2]


def test_a_stream_whose_done_came_too_early_goes_on_like_a_cut_one() -> None:
    """What came after it was taken for events behind the end: left out, and the answer ended as if it were whole."""
    first = streaming(*events(is_marked=True)[:2], DONE, fields=["x-headgate-numerics: n1"])
    rest = streaming(*events(is_marked=True)[2:], DONE, fields=["x-headgate-numerics: n1"])

    async def script(call: Call) -> None:
        await (rest if "headgate_resume" in json.loads(call.body) else first)(call)

    answer, calls = play(script, ask=post)
    assert (answer.is_whole, calls) == (True, [2])
    comment = b": headgate target=t0 attempts=2\n"
    found = events(is_marked=True)
    assert answer.body == b"".join(found[:2]) + comment + b"".join(found[2:]) + DONE


@pytest.mark.parametrize("route", [{"on_break": "error"}, {"max_attempts": 1}])
def test_a_cut_stream_is_not_continued_where_that_is_not_allowed(route: dict[str, Any]) -> None:
    answer, calls = play(resumable(2), ask=post, **route)
    assert not answer.is_whole
    assert json.loads(answer.body.rpartition(b"data: ")[2])["error"]["code"] == "truncated"
    assert calls == [1]


def test_an_answer_of_other_numerics_is_never_glued_on() -> None:
    answer, calls = play(resumable(2, numerics=("n1", "n2")), other, ask=post)
    assert not answer.is_whole
    found = events(is_marked=True)
    passed, _, error = answer.body.rpartition(b"data: ")
    assert passed == b"".join(found[:2])
    assert json.loads(error)["error"]["code"]
    assert calls == [2, 0]  # the first, and one try to continue it: another would be no better


def test_a_stream_without_cursors_is_not_continued() -> None:
    answer, calls = play(streaming(*events()[:2], then="cut"), whole, ask=post)
    assert not answer.is_whole
    assert calls == [1, 0]


def test_a_prompt_that_is_too_long_goes_to_a_target_that_declares_more() -> None:
    async def too_long(call: Call) -> None:
        body = b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'
        await call.answer(body, "400 Bad Request", "Content-Type: application/json")

    small, large = {"cluster": "t0", "context": 100}, {"cluster": "t2", "context": 1000}
    answer, calls = play(too_long, other, whole, ask=post, targets=[small, "t1", large])
    assert (answer.status, calls) == (200, [1, 0, 1])
    answer, calls = play(too_long, other, ask=post)
    assert (answer.status, calls) == (400, [1, 0])
    assert answer.json()["error"]["code"] == "context_length_exceeded"


def test_a_target_that_failed_twice_is_no_longer_asked_first() -> None:
    async def broken(call: Call) -> None:
        await call.answer(b"", "500 Internal Server Error")

    async def ask(gate: RunningGateway, served: list[Upstream]) -> tuple[list[str | None], list[int], bytes]:
        answers = [await fetch(gate.port, "POST", PATH, b"{}") for _ in range(5)]
        metrics = await fetch(gate.admin_port, "GET", "/metrics")
        attempts = [answer.field("x-headgate-attempts") for answer in answers]
        return attempts, [len(each.calls) for each in served], metrics.body

    attempts, calls, metrics = play(broken, whole, ask=ask)
    assert attempts == ["2", "2", "1", "1", "1"]
    assert calls == [2, 5]
    told = b'headgate_fallback_total{from="t0",to="t1",reason="%b"} %d\n'
    assert told % (b"status 500", 2) in metrics
    assert told % (b"breaker_open", 3) in metrics
    assert b'headgate_breaker_state{target="t0"} 1\n' in metrics


def test_only_attempts_that_were_begun_are_counted() -> None:
    async def busy(call: Call) -> None:
        await call.answer(b"", "429 Too Many Requests", "Retry-After: 2")

    async def ask(gate: RunningGateway, served: list[Upstream]) -> list[int]:
        async with client(gate.port) as leaving:
            await leaving.send("POST", PATH, b"{}")
            await served[0].until(lambda: served[0].calls)
        await gate.until(gate.log)
        return [line["attempts"] for line in gate.log()]

    assert play(busy, ask=ask) == [1]


def test_a_lone_target_is_asked_although_its_breaker_is_open() -> None:
    is_well = False

    async def mending(call: Call) -> None:
        await (whole(call) if is_well else call.answer(b"", "500 Internal Server Error"))

    async def ask(gate: RunningGateway, served: list[Upstream]) -> list[int]:
        nonlocal is_well
        statuses = [(await fetch(gate.port, "POST", PATH, b"{}")).status for _ in range(4)]
        is_well = True
        return [*statuses, (await fetch(gate.port, "POST", PATH, b"{}")).status]

    assert play(mending, ask=ask) == [500, 500, 500, 500, 200]


def test_a_lone_target_that_closed_its_kept_connections_is_asked_on_a_new_one() -> None:
    """It was not, where its breaker was open: the client got the error of a connection that nobody had asked for."""
    seen = 0

    async def restarted(call: Call) -> None:
        nonlocal seen
        seen += 1
        if seen <= 2:
            await call.answer(b"", "500 Internal Server Error")
        elif seen == 3:  # on the connection that was kept
            call.reset()
            raise ConnectionError
        else:
            await whole(call)

    async def ask(gate: RunningGateway, served: list[Upstream]) -> list[int]:
        return [(await fetch(gate.port, "POST", PATH, b"{}")).status for _ in range(3)]

    assert play(restarted, ask=ask) == [500, 500, 200]
