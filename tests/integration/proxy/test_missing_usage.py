"""A stream that breaks off between its last finish_reason and its usage; on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from ...http_client import Answer, fetch
from ...running import RunningGateway
from ...upstream import Call, Script, Upstream
from .completions import DONE, PATH, begin, chunks, end, events, play, streaming

EVENTS = events(is_marked=True)
USAGE = b'id: cursor-5\ndata: {"id": "c", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 4}}\n\n'
COMMENT = b": headgate target=t0 attempts=2\n"
OURS = ("x-headgate-numerics: n1",)
LATE_S = 5.5  # how long the end of an answer may be late for its usage, and a margin


async def refused(call: Call) -> None:
    await call.answer(b"{}", "412 Precondition Failed", "Content-Type: application/json")


async def failing(call: Call) -> None:
    await call.answer(b"", "500 Internal Server Error")


async def silent(call: Call) -> None:
    await call.gone()
    raise ConnectionError


async def rest(call: Call) -> None:
    """Go on exactly where the stream stopped."""
    cursors = json.loads(call.body)["headgate_resume"]
    await begin(call, *OURS)
    await chunks(call, [*[*EVENTS, USAGE][len(cursors) :], DONE])
    await end(call)


def breaking(*found: bytes, how: str = "cut", then: Script = rest, fields: Sequence[str] = OURS) -> Script:
    """A service of our own tier that breaks off after these events, and does as `then` when asked to go on."""

    async def script(call: Call) -> None:
        if "headgate_resume" in json.loads(call.body):
            await then(call)
            return
        await begin(call, *fields)
        await chunks(call, found)
        if how == "stall":
            await call.gone()
        call.reset()
        raise ConnectionError

    return script


def run(script: Script, *, is_usage_wanted: bool = True, **route: Any) -> tuple[Answer, int, dict[str, Any], float]:
    """Return the answer, how often the service was asked, the line of the log, and how long it took."""

    async def ask(gate: RunningGateway, served: list[Upstream]) -> tuple[Answer, int, dict[str, Any], float]:
        began = asyncio.get_running_loop().time()
        wanted = {"model": "m", "stream": True, "stream_options": {"include_usage": is_usage_wanted}}
        answer = await fetch(gate.port, "POST", PATH, json.dumps(wanted).encode())
        took_s = asyncio.get_running_loop().time() - began
        await gate.until(gate.log)
        return answer, len(served[0].calls), gate.log()[0], took_s

    found: tuple[Answer, int, dict[str, Any], float] = play(script, ask=ask, read_model=True, **route)
    return found


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_the_usage_is_fetched_where_the_stream_can_be_resumed(how: str) -> None:
    answer, num_calls, line, took_s = run(breaking(*EVENTS, how=how))
    assert (answer.is_whole, answer.body) == (True, b"".join(EVENTS) + COMMENT + USAGE + DONE)
    assert (num_calls, line["error"], took_s < LATE_S) == (2, None, True)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (2, 4)


@pytest.mark.parametrize(
    "then", [refused, failing, silent, *(streaming(then=how, fields=OURS) for how in ("cut", "stall"))]
)
def test_where_it_cannot_be_fetched_the_answer_is_whole_all_the_same(then: Script) -> None:
    answer, num_calls, line, took_s = run(breaking(*EVENTS, then=then))
    assert (answer.is_whole, answer.body) == (True, b"".join(EVENTS) + DONE)
    assert num_calls > 1
    assert (line["error"], line["status"], took_s < LATE_S) == (None, 200, True)


@pytest.mark.parametrize(
    ("script", "route"),
    [
        (breaking(*EVENTS, fields=()), {}),
        (breaking(*EVENTS), {"on_break": "error"}),
        (breaking(*EVENTS), {"hold_back": "complete"}),
        (breaking(*EVENTS), {"max_attempts": 1}),
        (breaking(*events()), {}),
    ],
)
def test_where_nobody_could_resume_it_the_answer_ends_at_once(script: Script, route: dict[str, Any]) -> None:
    answer, num_calls, line, _ = run(script, **route)
    assert (answer.is_whole, answer.body.count(b"data: "), num_calls) == (True, len(EVENTS) + 1, 1)
    assert (answer.body.endswith(DONE), line["error"]) == (True, None)


def test_nothing_is_fetched_that_was_not_asked_for_or_came_already() -> None:
    answer, num_calls, *_ = run(breaking(*EVENTS), is_usage_wanted=False)
    assert (answer.is_whole, answer.body, num_calls) == (True, b"".join(EVENTS) + DONE, 1)
    answer, num_calls, *_ = run(breaking(*EVENTS, USAGE))
    assert (answer.is_whole, answer.body, num_calls) == (True, b"".join(EVENTS) + USAGE + DONE, 1)
