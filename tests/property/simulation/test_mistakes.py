"""Worlds in which the gateway once did wrong, each by itself."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from .client import Visitor
from .laws import LAWS
from .reading import read_stream
from .upstream import Fate
from .world import History, Scenario, play

STREAM = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
LARGE = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 200_000}]}).encode()


def held(scenario: Scenario) -> History:
    """Play a scenario, and hold it to every law."""
    history = play(replace(scenario, options={"deadline": "30s", **scenario.options}))
    for law in LAWS.values():
        law(history)
    return history


def test_a_stream_of_nothing_that_can_be_read_is_no_whole_answer() -> None:
    """All of its events were left out, and its end passed for a clean one."""
    fates = (((Fate(ending="malformed", at=0, cut=60),),),)
    options = {"malformed": "skip", "commit": "head"}
    (got,) = held(Scenario((Visitor(0, body=STREAM),), fates, options=options)).got
    assert got.end == "cut"
    assert [error["code"] for error in read_stream(got.body).errors] == ["truncated"]


def test_a_body_that_streamed_into_a_closed_connection_is_not_sent_again() -> None:
    """Its first piece was gone, but nobody had told the machine: the second attempt waited for it to the deadline."""
    fates = (((Fate(after="drop"), Fate()),),)
    visitors = (Visitor(0, body=LARGE), Visitor(1, body=LARGE))
    options = {"replay_buffer": "1KiB"}
    clusters = {"pool": {"max_connections": 1}}
    history = held(Scenario(visitors, fates, options=options, cluster_options=clusters))
    assert [(got.status, got.ended_at) for got in history.got] == [(200, 0.0), (502, 0.0)]
    assert [outcome.error for _, outcome in history.outcomes] == [None, "stale_connection"]


def test_a_stall_is_noticed_in_time_though_nothing_else_ends_the_waiting() -> None:
    """The timer was set before anybody knew that the stream could be continued; then nothing set it anew."""
    fates = (((Fate(ending="stall", at=1), Fate()),),)
    (got,) = held(Scenario((Visitor(0, body=STREAM),), fates, frozenset({0}))).got
    assert (got.end, got.ended_at) == ("whole", 10.0)


def test_a_resume_that_brings_nothing_is_one_of_its_tries() -> None:
    """With the commit at the head each new head gave it all its tries again."""
    fates = (((Fate(ending="stall", at=1), Fate(ending="stall", at=0)),),)
    options = {"commit": "head", "deadline": "10m", "max_attempts": 10}
    clusters = {"timeouts": {"idle": "1s"}}
    history = held(Scenario((Visitor(0, body=STREAM),), fates, frozenset({0}), options, clusters))
    assert len(history.sites[0].visits) == 1 + 3


def test_a_comment_does_not_begin_a_resumed_answer() -> None:
    """What had begun was the answer before: the new server got all the time of one that goes on."""
    fates = (((Fate(ending="stall", at=1), Fate(ending="stall", at=0, is_pinging=True), Fate()),),)
    clusters = {"timeouts": {"idle": "8s", "first_event": "2s"}}
    (got,) = held(Scenario((Visitor(0, body=STREAM),), fates, frozenset({0}), cluster_options=clusters)).got
    assert (got.end, round(got.ended_at)) == ("whole", 10)


def test_a_break_before_the_head_has_left_gets_an_answer_of_its_own() -> None:
    """The head waits for the first piece to leave with it: the client got a bare reset in place of an answer."""
    fates = (((Fate(ending="reset", at=0, cut=1),),),)
    question = Visitor(0, body=STREAM.replace(b"true", b"false"))
    options = {"commit": "head", "hedge": {"after": "1s"}}  # the attempt is a task by itself: that takes a moment more
    (got,) = held(Scenario((question,), fates, options=options, latency_s=0.002)).got
    assert (got.status, got.end) == (502, "whole")
    assert json.loads(got.body)["error"]["code"] == "truncated"


def test_a_client_in_a_hurry_puts_no_target_out_of_order_for_others() -> None:
    """Its third of a short deadline is less than a healthy target takes: twice that opened the breaker for all."""
    fates = (((Fate(head_s=0.4),),), ((Fate(),),))
    hurried = (("X-Headgate-Deadline-Ms", "900"),)
    visitors = [Visitor(number, at=2.0 * number, body=STREAM, fields=hurried) for number in range(4)]
    history = held(Scenario((*visitors, Visitor(4, at=8.0, body=STREAM)), fates))
    assert [got.fields["x-headgate-target"] for got in history.got] == [*["cluster1"] * 4, "cluster0"]


def test_a_hedge_that_answers_at_the_same_instant_has_not_failed() -> None:
    """The head of the one that came second was noted as a failure of status 200."""
    fates = (((Fate(head_s=2.0), Fate(head_s=1.0)),),)
    options = {"commit": "head", "hedge": {"after": "1s"}}
    history = held(Scenario((Visitor(0, body=STREAM),), fates, options=options))
    (outcome,) = [outcome for _, outcome in history.outcomes]
    assert (outcome.failures, sorted(how for _, how in outcome.ends)) == ((), ["abandoned", "answered"])


@pytest.mark.parametrize("body", [STREAM, STREAM.replace(b"true", b"false")])
@pytest.mark.parametrize("before", [0, 1])
def test_a_client_that_pauses_makes_no_target_silent(body: bytes, before: int) -> None:
    """What the target had sent waited to be read, while its time ran out; kept connections, and others, alike."""
    fates = (((Fate(),),),)
    warming = [Visitor(number, body=body) for number in range(before)]
    pausing = Visitor(before, at=1.0, body=body, read_s=10.0)
    options = {"deadline": "60m"}
    clusters = {"timeouts": {"idle": "8s"}}
    scenario = Scenario((*warming, pausing), fates, options=options, cluster_options=clusters, padding_bytes=200_000)
    history = held(scenario)
    assert [got.end for got in history.got] == ["whole"] * (before + 1)
    assert [outcome.failures for _, outcome in history.outcomes] == [()] * (before + 1)


@pytest.mark.parametrize("padding", [20_000, 100_000, 150_000, 250_000])
def test_a_whole_stream_ends_in_a_second_though_its_client_pauses(padding: int) -> None:
    """As the client read on the target got all the time again that it has to go on, with nothing left to say."""
    fates = (((Fate(), Fate(ending="stall", at=2)),),)  # all but its [DONE]
    visitors = (Visitor(0, body=STREAM), Visitor(1, at=1.0, body=STREAM, read_s=0.3))
    clusters = {"timeouts": {"idle": "8s"}}
    history = held(Scenario(visitors, fates, num_tokens=1, cluster_options=clusters, padding_bytes=padding))
    assert [outcome.error for _, outcome in history.outcomes] == [None, None]
    assert 2.0 <= history.sites[0].visits[1].ended_at < 2.3


def test_a_target_that_falls_silent_before_a_client_that_pauses_is_found_out() -> None:
    """What came before is read first; from then on its time runs."""
    fates = (((Fate(ending="stall", at=3, gap_s=0.1),),),)
    pausing = Visitor(0, body=STREAM.replace(b"true", b"false"), read_s=10.0)
    options = {"deadline": "60m"}
    clusters = {"timeouts": {"idle": "8s"}}
    history = held(Scenario((pausing,), fates, options=options, cluster_options=clusters, padding_bytes=200_000))
    assert [outcome.error for _, outcome in history.outcomes] == ["stalled"]


@pytest.mark.parametrize("cut", [0, 60])
def test_a_drip_is_silence_though_a_byte_comes_at_the_instant_of_the_timer(cut: int) -> None:
    """The byte lay there unread as the timer fired, and passed for one that the client kept waiting."""
    fates = (((Fate(ending="drip", at=1, cut=cut),),),)
    visitors = tuple(Visitor(number, body=STREAM) for number in range(8))  # some bytes come first, some timers
    clusters = {"timeouts": {"idle": "8s"}}
    history = held(Scenario(visitors, fates, cluster_options=clusters, latency_s=2**-9))
    assert [outcome.error for _, outcome in history.outcomes] == ["stalled"] * 8
    assert max(got.ended_at for got in history.got) < 8.1


def test_a_client_that_pauses_its_upload_makes_no_target_silent() -> None:
    """Nothing can be answered before the request is there, but its time ran from the last piece on."""
    fates = (((Fate(),),), ((Fate(),),))
    visitor = Visitor(0, body=LARGE, num_parts=3, part_s=25.0)
    options = {"replay_buffer": "1KiB", "read_model": False, "deadline": "2m"}
    clusters = {"timeouts": {"head": "2s"}}
    history = held(Scenario((visitor,), fates, options=options, cluster_options=clusters, latency_s=2**-9))
    ((_, outcome),) = history.outcomes
    assert (outcome.error, outcome.failures) == (None, ())
