"""Chat answers that break off and go on at a service which takes the text so far as a prefill; on real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from ...http_client import Answer, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, Script, Upstream, upstream
from .completions import DONE, PATH, begin, chunks, end, play, streaming, whole
from .prefills import (
    ECHOED,
    PLAIN,
    QUESTION,
    SECOND,
    TEXT,
    WORDS,
    Json,
    ask_for,
    asked,
    cut,
    failing,
    going_on,
    is_joined,
    is_told,
    refusing,
    run,
    run_each,
    said,
    shown,
    then,
    told,
)


def test_a_cut_after_any_event_is_not_seen() -> None:
    """From the first word to the last: before it nothing was passed on, behind it the answer is whole."""
    places = range(2, len(WORDS) + 2)
    found = run_each([then(cut(place), going_on) for place in places])
    for place, (answer, calls) in zip(places, found, strict=True):
        assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, 2), place
        assert answer.body.startswith(b"".join(said(WORDS)[:place]) + b": headgate target=t0 attempts=2\ndata: ")
        prefill = {"role": "assistant", "content": "".join(WORDS[: place - 1])}
        assert asked(calls[1]) == {**asked(calls[0]), "messages": [*QUESTION, prefill]}
        models = [value["model"] for value in told(answer) if "model" in value]
        assert models == ["m-a"] * place + ["m-b"] * (len(models) - place)
        assert told(answer)[-1]["usage"]["completion_tokens"] == len(models) - place - 1  # as the continuation counts


def torn(size: int) -> Script:
    """A service that breaks off after so many bytes."""

    async def script(call: Call) -> None:
        await begin(call)
        await chunks(call, [b"".join(said(WORDS))[:size]])
        call.reset()
        raise ConnectionError

    return script


def test_a_cut_inside_of_an_event_counts_the_whole_ones_alone() -> None:
    body = b"".join(said(WORDS)[: len(WORDS) + 1])
    sizes = range(1, len(body), 17)
    num_whole = [body[:size].count(b"\n\n") for size in sizes]
    again = streaming(*said(WORDS), DONE)
    found = run_each(
        [then(torn(size), going_on if num > 1 else again) for size, num in zip(sizes, num_whole, strict=True)]
    )
    for num, (answer, calls) in zip(num_whole, found, strict=True):
        assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, 2)
        # What nobody has seen is asked for anew.
        told_so_far = [{"role": "assistant", "content": "".join(WORDS[: num - 1])}] if num > 1 else []
        assert asked(calls[1])["messages"] == [*QUESTION, *told_so_far]


def test_any_end_without_a_finish_reason_is_continued() -> None:
    breaks = [cut(3, then="end"), streaming(*said(WORDS)[:3], DONE), streaming(*said(WORDS)[:3], b"data: {nope\n\n")]
    for answer, calls in run_each([then(script, going_on) for script in breaks]):
        assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, 2)


def test_a_stalled_answer_has_its_share_of_the_time_and_goes_on() -> None:
    async def timed(gate: RunningGateway, served: list[Upstream]) -> tuple[Answer, float]:
        began = asyncio.get_running_loop().time()
        answer, _ = await ask_for()(gate, served)
        return answer, asyncio.get_running_loop().time() - began

    answer, took_s = play(then(cut(3, then="stall"), going_on), ask=timed, targets=[PLAIN], deadline="7s")
    assert (is_joined(answer), shown(answer)) == (True, TEXT)
    assert 2.0 < took_s < 4.0


def test_it_is_continued_again_and_again_within_the_attempts() -> None:
    async def one_word(call: Call) -> None:
        text = asked(call)["messages"][-1]["content"]
        await begin(call)
        await chunks(call, said([TEXT[len(text) : len(text) + 4]], name="b")[:2])
        call.reset()
        raise ConnectionError

    answer, (calls,) = run(then(cut(2), one_word, one_word, going_on), max_attempts=4)
    assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, 4)
    answer, (calls,) = run(then(cut(2), one_word, one_word, going_on), max_attempts=3)
    assert (is_told(answer, "truncated"), shown(answer), len(calls)) == (True, TEXT[:12], 3)


STYLES = {
    "continue_final_message": ({"continue_final_message": True, "add_generation_prompt": False}, {}),
    "prefix": ({}, {"prefix": True}),
    "plain": ({}, {}),
}


@pytest.mark.parametrize("style", STYLES)
def test_each_service_is_asked_in_its_own_way(style: str) -> None:
    members, mark = STYLES[style]
    request = {"max_tokens": 9, "max_completion_tokens": 12, "temperature": 0.5, "seed": 12345678901234567890}
    answer, (calls,) = run(then(cut(4), going_on), request=request, targets=[{"cluster": "t0", "prefill": style}])
    prefill = {"role": "assistant", "content": "".join(WORDS[:3]), **mark}
    lowered = {"max_tokens": 6, "max_completion_tokens": 9}
    assert asked(calls[1]) == {**asked(calls[0]), **members, **lowered, "messages": [*QUESTION, prefill]}
    assert shown(answer) == TEXT


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_an_echo_is_taken_off(size: int) -> None:
    """In whatever pieces it comes; white space at its end may move to what follows."""

    async def echoing(call: Call) -> None:
        assert asked(call)["messages"][-1] == {"role": "assistant", "content": "Der ", "prefix": True}
        pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)] if size < 1000 else ["Der", TEXT[3:]]
        await streaming(*said(pieces, name="b"), DONE)(call)

    answer, (calls,) = run(then(cut(2), echoing), targets=[ECHOED])
    assert (is_joined(answer), shown(answer), len(calls)) == (True, TEXT, 2)


def test_another_endpoint_of_the_cluster_goes_on() -> None:
    first = then(cut(3), going_on)  # whichever is drawn

    async def main() -> tuple[Answer, list[list[Call]]]:
        async with upstream(first) as one, upstream(first) as two:
            config = plain(one.url, kind="inference", targets=[PLAIN])
            config["clusters"]["t0"]["endpoints"].append(two.url)
            async with gateway(config) as gate:
                found: tuple[Answer, list[list[Call]]] = await ask_for()(gate, [one, two])
                return found

    answer, calls = asyncio.run(main())
    assert (is_joined(answer), shown(answer), [len(each) for each in calls]) == (True, TEXT, [1, 1])


def test_a_target_that_declares_nothing_is_left_for_one_that_does() -> None:
    answer, calls = run(cut(3), whole, going_on, targets=["t0", "t1", {"cluster": "t2", "prefill": "plain"}])
    assert (is_joined(answer), shown(answer), [len(each) for each in calls]) == (True, TEXT, [1, 0, 1])
    assert b": headgate target=t2 attempts=2\n" in answer.body
    assert answer.field("x-headgate-target") == "t0"


def test_where_the_target_fails_the_next_that_declares_it_goes_on() -> None:
    answer, calls = run(then(cut(3), failing), going_on, targets=[PLAIN, SECOND])
    assert (is_joined(answer), shown(answer), [len(each) for each in calls]) == (True, TEXT, [2, 1])


def test_who_went_on_stands_in_the_log() -> None:
    async def ask(gate: RunningGateway, served: list[Upstream]) -> Json:
        await ask_for()(gate, served)
        await gate.until(gate.log)
        line: Json = gate.log()[0]
        return line

    line = play(cut(3), going_on, ask=ask, targets=["t0", SECOND])
    assert (line["target"], line["attempts"], line["fallback"], line["status"]) == ("t1", 2, True, 200)
    line = play(cut(3), refusing, ask=ask, targets=["t0", SECOND])
    assert (line["target"], line["attempts"], line["fallback"], line["error"]) == ("t0", 2, False, "truncated")


def test_a_continuation_is_another_request_than_the_first() -> None:
    """A service that remembers answers by their key would give the first one all over again."""

    async def ask(gate: RunningGateway, served: list[Upstream]) -> list[list[str]]:
        body = json.dumps({"messages": QUESTION, "stream": True}).encode()
        await fetch(gate.port, "POST", PATH, body, "Idempotency-Key: k1")
        return [call.fields("idempotency-key") for call in served[0].calls]

    assert play(then(cut(3), going_on), ask=ask, targets=[PLAIN]) == [["k1"], []]


def test_the_model_of_the_target_is_asked_for() -> None:
    answer, (calls,) = run(then(cut(3), going_on), targets=[{**PLAIN, "model": "m"}], read_model=True)
    assert (shown(answer), [asked(call)["model"] for call in calls]) == (TEXT, ["m", "m"])


def test_an_answer_that_can_go_on_exactly_does() -> None:
    """Cursors and numerics come first, where a target declares both."""

    async def exact(call: Call) -> None:
        cursors = asked(call).get("headgate_resume", [])
        await begin(call, "x-headgate-numerics: n1")
        found = [b"id: %d\n%b" % (number, event) for number, event in enumerate(said(WORDS))]
        if not cursors:
            await chunks(call, found[:3])
            call.reset()
            raise ConnectionError
        await chunks(call, [*found[len(cursors) :], DONE])
        await end(call)

    answer, calls = run(exact, going_on, targets=[PLAIN, SECOND])
    assert (answer.is_whole, shown(answer), [len(each) for each in calls]) == (True, TEXT, [2, 0])
    assert asked(calls[0][1])["messages"] == QUESTION
