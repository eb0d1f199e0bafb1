"""The answers as an event stream: best so far at once, the rest as it comes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from headgate.ext.sse import EventScanner
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.message import Response
from headgate.proxy.relay import close_body
from headgate.proxy.verdicts import Target

from ....virtual_clock import run
from ..exchanges import make_exchange
from .branches import Fate, ScriptedBody, Spent, Told, WholeBody, options, tell
from .test_strategies import completion

STREAM = "text/event-stream"
ASKED = b'{"stream": true}'


def chunks(*texts: str, end: bytes = b"data: [DONE]\n\n") -> bytes:
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in texts
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events) + end


def streaming(*texts: str, **more: Any) -> Fate:
    return Fate(body=chunks(*texts), media_type=STREAM, **more)


def events(told: Told) -> list[tuple[str, Any]]:
    """Every event by its name, with its data; nothing may be left over."""
    scanner = EventScanner()
    found = [*scanner.feed(told.body), *scanner.finish()]
    assert not scanner.rest()
    return [
        (event.name.decode() or "chunk", event.data if event.data == b"[DONE]" else json.loads(event.data or b"null"))
        for event in found
    ]


def names(told: Told) -> list[str]:
    return [name if data != b"[DONE]" else "done" for name, data in events(told)]


def test_the_first_stream_passes_as_it_comes_and_the_others_as_parts() -> None:
    told = tell(
        [streaming("b", head_s=2.0), streaming("a", "c", head_s=1.0, body_s=2.5)], strategy="all", request=ASKED
    )
    assert told.response.fields["content-type"].startswith(STREAM)
    assert told.response.fields["x-headgate-target"] == "b"
    lead = chunks("a", "c", end=b"")
    assert told.body.startswith(lead[: lead.index(b"\n\n") + 2])
    own = b"".join(
        b"data: %b\n\n" % json.dumps(data).encode()
        for name, data in events(told)
        if name == "chunk" and data != b"[DONE]"
    )
    assert own == lead
    assert names(told)[-3:] == ["chunk", "headgate.end", "done"]
    part = dict(events(told))["headgate.part"]
    assert part["choices"] == []
    assert (part["part"]["branch"], part["part"]["outcome"]) == ("a", "ok")
    assert part["part"]["body"] == chunks("b").decode()
    end = dict(events(told))["headgate.end"]["end"]
    assert [branch["outcome"] for branch in end["branches"]] == ["ok", "ok"] and end["is_partial"] is False
    assert told.ended_at == 3.5


def test_answers_that_are_no_streams_are_parts_too() -> None:
    pretty = json.dumps({"a": [1, 2]}, indent=2).encode()
    told = tell(
        [Fate(0.2, body=pretty), Fate(0.1, status=500), Fate(0.3, fails="reset")], strategy="all", parts="events"
    )
    assert names(told) == ["headgate.part"] * 3 + ["headgate.end"]
    parts = [data["part"] for name, data in events(told) if name == "headgate.part"]
    assert [(part["branch"], part["outcome"], part["error"]) for part in parts] == [
        ("b", "error", None),
        ("a", "ok", None),
        ("c", "error", "reset"),
    ]
    assert parts[1]["body"] == {"a": [1, 2]}


@pytest.mark.parametrize("strategy", ["all", "best_of", "merge", "quorum"])
def test_where_nothing_is_good_there_is_no_stream(strategy: str) -> None:
    told = tell([Fate(status=500), Fate(status=404, body=b"no")], strategy=strategy, parts="events")
    assert told.response.status == (502 if strategy == "all" else 404)
    lost = tell([Fate(fails="reset")], strategy="quorum", parts="events")
    assert (lost.error, lost.outcomes) == ("reset", ["error"])


def test_first_is_no_matter_of_parts() -> None:
    told = tell([streaming("a")], request=ASKED)
    assert told.body == chunks("a")


@pytest.mark.parametrize("cut", ["truncated", "stalled", "deadline"])
def test_a_lead_that_breaks_off_breaks_the_answer_and_nothing_follows(cut: str) -> None:
    told = tell([streaming("a", head_s=1.0, body_s=1.0, cut=cut), Fate(5.0)], strategy="all", request=ASKED)
    assert (told.error, told.ended_at) == (cut, 2.0)
    assert told.num_tasks == 0 and all(body.is_closed for body in told.bodies)
    outcome = "timeout" if cut == "deadline" else "error"
    assert told.extra["branches"].startswith(f'"a";outcome={outcome};error={cut};ms=2000, "b";outcome=skipped')


def test_a_required_branch_that_fails_breaks_a_stream_at_once() -> None:
    fates = [streaming("a", head_s=0.1, body_s=9.0), Fate(1.0, fails="reset")]
    told = tell(fates, strategy="all", request=ASKED, branches={"b": {"required": True}})
    assert (told.error, told.ended_at) == ("reset", 1.0)
    late = tell(
        [fates[0], Fate(9.0)], strategy="all", request=ASKED, branches={"b": {"required": True, "timeout": "2s"}}
    )
    assert (late.error, late.ended_at) == ("silent", 2.0)


def test_a_lead_has_no_time_of_its_own_and_is_waited_for() -> None:
    fates = [streaming("a", head_s=0.1, body_s=5.0), Fate(1.0), Fate(9.0)]
    branches = {"a": {"timeout": "500ms"}, "b": {"required": True}}
    told = tell(fates, strategy="all", request=ASKED, branches=branches, deadline_s=20.0)
    assert told.ended_at == 5.1
    end = dict(events(told))["headgate.end"]["end"]
    assert [branch["outcome"] for branch in end["branches"]] == ["ok", "ok", "skipped"]


def test_the_end_says_which_part_is_the_answer() -> None:
    fates = [streaming("long one"), Fate(0.1, body=completion("no")), Fate(0.2, body=completion("no"))]
    best = dict(events(tell(fates, strategy="best_of", request=ASKED, scorer="shortest")))["headgate.end"]["end"]
    assert best["chosen"] == "b"
    quorum = dict(events(tell(fates, strategy="quorum", request=ASKED, agree_on="content")))["headgate.end"]["end"]
    assert quorum["chosen"] == "b"
    whole = dict(events(tell(fates, strategy="merge", request=ASKED)))["headgate.end"]["end"]["answer"]
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["long one", "no", "no"]
    split = [streaming("x"), Fate(0.1, body=completion("y")), Fate(0.1, body=completion("z"))]
    assert tell(split, strategy="quorum", request=ASKED, agree_on="content").error == "no_agreement"


@pytest.mark.parametrize(("answers", "member"), [("pick", "chosen"), ("fuse", "answer")])
def test_a_judge_speaks_at_the_end(answers: str, member: str) -> None:
    fates = {"a": streaming("x"), "b": Fate(0.1, body=completion("y")), "j": Fate(0.1, body=completion("1"))}
    told = tell(fates, strategy="judge", judge={"target": "j", "answers": answers}, request=ASKED)
    end = dict(events(told))["headgate.end"]["end"]
    assert end[member] == ("b" if answers == "pick" else json.loads(completion("1")))
    assert json.loads(told.asked[-1][1] or b"").get("stream") is None


def test_what_is_kept_of_a_lead_is_bounded_where_it_is_kept() -> None:
    fate = streaming("x" * 2_000)
    assert tell([fate], strategy="best_of", request=ASKED, max_branch_bytes=1_000).error == "answer_too_large"
    assert names(tell([fate], strategy="all", request=ASKED, max_branch_bytes=1_000))[-1] == "done"


class Endless:
    """A stream that goes on as long as it is read."""

    def __init__(self) -> None:
        self.num_read = 0
        self.is_closed = False

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        self.num_read += 1
        await asyncio.sleep(0)
        return b"data: {}\n\n"

    async def aclose(self) -> None:
        self.is_closed = True


def test_no_more_is_read_of_a_lead_than_the_client_takes() -> None:
    source = Endless()

    async def call(target: Target, body: bytes | None = None) -> Response:
        scripted = ScriptedBody(streaming("a"), Spent())
        answer = Response(200, body=source)
        answer.fields.set("content-type", STREAM)
        if target.name == "a":
            return answer
        await scripted.aclose()
        raise GatewayError("reset")

    async def main() -> None:
        from headgate.plugins.aggregate import Aggregate

        exchange = make_exchange(now=asyncio.get_running_loop().time)
        exchange.request.body = WholeBody(ASKED)
        exchange.groups = ((Target("a"), Target("b")),)
        exchange.deadline = 100.0
        exchange.call = call
        exchange.route.options = {"aggregate": options(strategy="all")}
        waiting = Aggregate().headgate_aggregate(exchange)
        assert waiting is not None and not isinstance(waiting, Response)
        answer = await waiting  # type: ignore[misc]
        for _ in range(20):
            await anext(answer.body)
            await asyncio.sleep(1.0)
        assert source.num_read <= 24
        await close_body(answer.body)
        assert source.is_closed
        assert len(asyncio.all_tasks()) == 1

    run(main())
