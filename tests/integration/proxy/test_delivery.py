"""Hedge, hold-back, resume, breaker and the end of a stream, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from ...http_client import Answer, client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, Script, Upstream, upstream

PATH = "/v1/chat/completions"
WORDS = ("one ", "zwei ", "三 ", "🚀")
DONE = b"data: [DONE]\n\n"


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


def streaming(*found: bytes, then: str = "end") -> Script:
    """A script that sends events, then ends in good order, is cut, or says nothing more."""

    async def script(call: Call) -> None:
        await begin(call)
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


def test_a_missing_done_is_added() -> None:
    answer, _ = play(streaming(*events()), ask=post)
    assert (answer.is_whole, answer.body) == (True, b"".join(events()) + DONE)


def test_a_reset_after_the_last_finish_reason_takes_nothing_away() -> None:
    answer, _ = play(streaming(*events(), then="cut"), ask=post)
    assert (answer.is_whole, answer.body) == (True, b"".join(events()) + DONE)


@pytest.mark.parametrize("count", range(1, len(WORDS) + 1))
def test_a_clean_end_without_a_finish_reason_is_a_break(count: int) -> None:
    answer, calls = play(streaming(*events()[:count]), other, ask=post)
    assert not answer.is_whole
    passed, _, error = answer.body.rpartition(b"data: ")
    assert passed == b"".join(events()[:count])
    assert json.loads(error)["error"]["code"] == "truncated"
    assert calls == [1, 0]


ROLE = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'


@pytest.mark.parametrize("count", range(len(WORDS) + 1))
@pytest.mark.parametrize("hold_back", ["none", "complete"])
def test_done_before_a_finish_reason_is_a_break(count: int, hold_back: str) -> None:
    script = streaming(*events()[:count], DONE)
    answer, calls = play(script, whole, ask=post, hold_back=hold_back, retry={"attempts": 1})
    if count and hold_back == "none":
        assert not answer.is_whole
        assert json.loads(answer.body.rpartition(b"data: ")[2])["error"]["code"] == "truncated"
        assert DONE not in answer.body
    else:
        assert (answer.is_whole, answer.body, calls) == (True, b"".join(events()) + DONE, [1, 1])


@pytest.mark.parametrize(("count", "calls"), [(1, [1, 1]), (2, [1, 1]), (3, [1, 0])])
def test_a_role_is_no_token(count: int, calls: list[int]) -> None:
    script = streaming(ROLE, *events()[:count], then="cut")
    answer, seen = play(script, whole, ask=post, hold_back="3 tokens", retry={"attempts": 1})
    assert (answer.is_whole, seen) == (calls == [1, 1], calls)


def test_a_slow_stream_that_cannot_be_resumed_is_not_cut_early() -> None:
    async def slow(call: Call) -> None:
        await begin(call)
        await chunks(call, events()[:2])
        await asyncio.sleep(1.5)  # the pace of the service: half of the deadline
        await chunks(call, [*events()[2:], DONE])
        await end(call)

    answer, calls = play(slow, other, ask=post, deadline="3s")
    assert (answer.is_whole, answer.body, calls) == (True, b"".join(events()) + DONE, [1, 0])


def test_a_stream_with_a_declared_length_is_whole_too() -> None:
    async def declared(call: Call) -> None:
        await call.answer(b"".join(events()), "200 OK", "Content-Type: text/event-stream")

    for hold_back in ("none", "complete"):
        answer, _ = play(declared, ask=post, hold_back=hold_back)
        assert (answer.is_whole, answer.body) == (True, b"".join(events()) + DONE)


def test_a_compressed_stream_passes_as_it_is() -> None:
    body = gzip.compress(b"".join(events()))

    async def compressed(call: Call) -> None:
        await call.answer(body, "200 OK", "Content-Type: text/event-stream", "Content-Encoding: gzip")

    answer, calls = play(compressed, other, ask=post)
    assert (answer.is_whole, answer.body, calls) == (True, body, [1, 0])


@pytest.mark.parametrize("size", [1 << 20, 3 << 20])
def test_a_large_event_passes_whole(size: int) -> None:
    found = [event(0, "x" * size), last(1), DONE]
    answer, _ = play(streaming(*found), ask=post)
    assert (answer.is_whole, answer.body) == (True, b"".join(found))


def test_an_event_that_is_too_large_is_never_left_out() -> None:
    found = [event(0, "a"), event(1, "b"), event(2, "x" * (5 << 20)), last(3), DONE]
    answer, _ = play(streaming(*found), ask=post, malformed="skip")
    assert not answer.is_whole
    assert json.loads(answer.body.rpartition(b"data: ")[2])["error"]["code"] == "malformed_event"


@pytest.mark.parametrize("body", [b"", b": ping\n\n: ping\n\n", b"data: plain\n\n", b"data: half", b"".join(events())])
def test_other_streams_pass_as_they_are(body: bytes) -> None:
    async def foreign(call: Call) -> None:
        await begin(call)
        await chunks(call, [body] if body else [])
        await end(call)

    answer, calls = play(foreign, other, ask=post, kind="http", commit="first_event", replay="safe")
    assert (answer.is_whole, answer.body, calls) == (True, body, [1, 0])


def test_what_comes_before_the_first_token_can_still_fall_back() -> None:
    answer, calls = play(streaming(b": ping\n\n", ROLE, then="cut"), whole, ask=post, retry={"attempts": 1})
    assert (answer.body, calls) == (b"".join(events()) + DONE, [1, 1])
    assert answer.field("x-headgate-fallback") == "true"


@pytest.mark.parametrize("broken", [b"data: {nope\n\n", b"data: [1]\n\n", b'data: {"choices": 5}\n\n'])
def test_an_unreadable_event_is_a_break_or_left_out(broken: bytes) -> None:
    found = events()
    script = streaming(*found[:2], broken, *found[2:], DONE)
    answer, _ = play(script, ask=post)
    assert json.loads(answer.body.rpartition(b"data: ")[2])["error"]["code"] == "malformed_event"
    answer, _ = play(script, ask=post, malformed="skip")
    assert (answer.is_whole, answer.body) == (True, b"".join(found) + DONE)


@pytest.mark.parametrize("hold_back", ["complete", "3 tokens", "400ms"])
def test_what_is_held_back_can_be_replaced(hold_back: str) -> None:
    answer, calls = play(
        streaming(*events()[:2], then="cut"), whole, ask=post, hold_back=hold_back, retry={"attempts": 1}
    )
    assert (answer.is_whole, answer.body, calls) == (True, b"".join(events()) + DONE, [1, 1])


def test_what_is_held_back_is_bounded() -> None:
    answer, calls = play(
        streaming(*events()[:3], then="cut"), whole, ask=post, hold_back="complete", hold_back_limit=300
    )
    assert not answer.is_whole
    assert answer.body.startswith(b"".join(events()[:3]))
    assert calls == [1, 0]


def test_a_whole_answer_is_held_back_and_given_once() -> None:
    answer, calls = play(whole, other, ask=post, hold_back="complete")
    assert (answer.is_whole, answer.body, calls) == (True, b"".join(events()) + DONE, [1, 0])


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
