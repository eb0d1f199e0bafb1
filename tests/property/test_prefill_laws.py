"""What is delivered and what continues it are one answer, wherever it was cut and however both are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.ext.sse import Event, EventScanner
from headgate.proxy.body_scan import scan
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.progress import Progress
from headgate.proxy.exchange.seam import Seam
from headgate.proxy.exchange.transcript import MAX_TEXT_BYTES, Transcript
from headgate.proxy.prefill import tokens_allowed, with_prefill
from headgate.proxy.upstream.continuation import Prefill
from headgate.proxy.verdicts import PrefillStyle

Json = dict[str, Any]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
# How a service may name the role: in a chunk by itself, with the first word, in every chunk, or never.
manners = st.sampled_from(("alone", "first", "always", "never"))
STYLES: tuple[PrefillStyle, ...] = ("continue_final_message", "prefix", "echoed_prefix", "plain")


def chunk(delta: Json, reason: str | None, name: str) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]
    value = {"id": f"id-{name}", "created": ord(name), "model": name, "choices": choices, "usage": None}
    return b"data: %b\n\n" % orjson.dumps(value)


def stream(words: Sequence[str], manner: str, name: str) -> list[bytes]:
    """Write a stream's chunks, the finish_reason at its end."""
    role = {"role": "assistant"}
    found = [chunk({**role, "content": ""}, None, name)] if manner == "alone" else []
    for number, word in enumerate(words):
        has_role = manner == "always" or (manner == "first" and not number)
        found.append(chunk({**(role if has_role else {}), "content": word}, None, name))
    return [*found, chunk({}, "stop", name)]


def events_of(chunks: Sequence[bytes]) -> list[Event]:
    return EventScanner().feed(b"".join(chunks))


def shown(body: bytes) -> tuple[str, int, set[str], list[str]]:
    """Return what a client reads: the text, how often the role was named, the ids, the models."""
    values = [orjson.loads(event.data or b"null") for event in EventScanner().feed(body)]
    deltas = [value["choices"][0]["delta"] for value in values]
    text = "".join(delta.get("content") or "" for delta in deltas)
    ids = {f"{value['id']} {value['created']}" for value in values}
    return text, sum("role" in delta for delta in deltas), ids, [value["model"] for value in values]


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(places)]


@given(
    st.lists(texts, min_size=1, max_size=6),
    st.integers(1, 6),
    texts,
    st.lists(st.integers(0, 40), max_size=6),
    st.tuples(manners, manners, st.booleans()),
)
def test_delivered_and_continued_text_are_what_the_client_shows(
    words: list[str], num_delivered: int, rest: str, cuts: list[int], ways: tuple[str, str, bool]
) -> None:
    first, second, is_echoed = ways
    transcript = Transcript()
    progress = Progress(transcript=transcript)
    sent = stream(words, first, "a")[: num_delivered + (first == "alone")]
    if sent[-1] == chunk({}, "stop", "a"):
        sent.pop()
    delivered, error = progress.take(events_of(sent))
    before = transcript.text
    assert (error, before, delivered) == (None, shown(delivered)[0], b"".join(sent))

    seam = Seam(transcript.identity or {}, before if is_echoed else "")
    told = stream(pieces(before * is_echoed + rest, cuts), second, "b")
    continued, error = progress.take(seam.take([*events_of([b": ping\n\n"]), *events_of(told)]))
    text, num_roles, ids, models = shown(delivered + continued)
    assert (error, text, ids, progress.is_whole) == (None, before + rest, {"id-a 97"}, True)
    assert transcript.text == text
    assert num_roles == shown(delivered)[1]
    assert models == ["a"] * len(sent) + ["b"] * (len(models) - len(sent))
    assert b"ping" not in continued


@given(texts.filter(str.strip), texts, st.lists(st.integers(0, 20), max_size=4))
def test_what_is_no_echo_is_refused_before_any_of_it_is_passed(before: str, other: str, cuts: list[int]) -> None:
    told = events_of(stream(pieces(other, cuts), "alone", "b"))
    seam = Seam({"id": "id-a", "created": 97}, before)
    if other.startswith(before) or (before.startswith(other) and not before[len(other) :].strip()):
        assert shown(b"".join(event.raw for event in seam.take(told)))[0] == other[len(before) :]
        return
    passed = []
    with pytest.raises(GatewayError, match="malformed_answer"):
        for event in told:
            passed += seam.take([event])
    assert not passed


@pytest.mark.parametrize(
    "choices",
    [
        [{"delta": {"role": "assistant", "tool_calls": [{"index": 0}]}}],
        [{"delta": {"content": "Der ", "reasoning_content": "well"}}],
        [{"delta": {"content": [{"type": "text", "text": "Der Käse"}]}}],
        [{"delta": {"content": "Der "}}, {"delta": {}, "index": 1}],
        [{"finish_reason": "stop"}],
    ],
)
def test_what_says_more_than_its_echo_before_that_is_there_is_refused(choices: list[Json]) -> None:
    with pytest.raises(GatewayError, match="malformed_answer"):
        Seam({}, "Der Käse").take(events_of([b"data: %b\n\n" % orjson.dumps({"choices": choices})]))


def test_what_says_nothing_before_its_echo_is_left_out() -> None:
    notice = b'data: {"choices": [], "usage": {"prompt_tokens": 5}}\n\n'
    found = events_of([notice, *stream(["Der ", "Käse", "!"], "alone", "b"), notice])
    told = [orjson.loads(event.data or b"") for event in Seam({}, "Der Käse").take(found)]
    assert [value["choices"][0]["delta"].get("content") for value in told[:-1]] == ["!", None]
    assert told[-1]["usage"] == {"prompt_tokens": 5}


@given(st.binary(max_size=30), st.sampled_from((b"data: %b\n\n", b"event: error\ndata: %b\n\n")))
def test_what_is_no_chunk_is_left_to_whoever_judges_events(data: bytes, form: bytes) -> None:
    found = EventScanner().feed(form % data.replace(b"\r", b"").replace(b"\n", b""))
    assert Seam({"id": "a"}).take(found) == [event for event in found if event.data is not None]


def test_pings_pass_once_the_continuation_has_begun() -> None:
    ping = b": ping\n\n"
    found = events_of([ping, *stream(["x"], "alone", "b")[:2], ping])
    assert [event.raw == ping for event in Seam({}).take(found)] == [False, True]


@pytest.mark.parametrize(("size", "is_plain"), [(MAX_TEXT_BYTES, True), (MAX_TEXT_BYTES + 1, False)])
def test_the_text_that_is_kept_is_bounded(size: int, is_plain: bool) -> None:
    transcript, word = Transcript(), "é" * 512
    for _ in range(MAX_TEXT_BYTES // 1024 - 1):
        transcript.note(events_of([chunk({"content": word}, None, "a")])[0].data or b"")
    left = size - (MAX_TEXT_BYTES - 1024)
    transcript.note(events_of([chunk({"content": "é" * (left // 2) + "x" * (left % 2)}, None, "a")])[0].data or b"")
    assert transcript.is_plain is is_plain
    assert len(transcript.text.encode()) == (size if is_plain else 0)
    transcript.note(events_of([chunk({"content": "more"}, None, "a")])[0].data or b"")
    assert (transcript.is_plain, transcript.text) == (False, "")  # for good


spaces = st.text(" \t\r\n", max_size=2)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
limits = st.none() | st.integers(1, 99)
messages = st.lists(st.fixed_dictionaries({"role": st.sampled_from(("user", "system")), "content": texts}), min_size=1)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw a chat request as some client might write it."""
    members: Json = draw(st.dictionaries(st.sampled_from(("user", "seed", "temperature", "stop", "[")), values))
    members |= {"messages": draw(messages), "max_tokens": draw(limits), "max_completion_tokens": draw(limits)}
    written = []
    for key in draw(st.permutations(sorted(members))):
        space = draw(spaces)
        written.append(f"{space}{json.dumps(key)}{space}:{space}{json.dumps(members[key])}{space}")
    return f"{draw(spaces)}{{{','.join(written)}}}{draw(spaces)}".encode()


@given(requests(), texts, st.integers(1, 99), st.sampled_from(STYLES))
def test_a_prefill_is_the_request_with_the_text_so_far(
    body: bytes, text: str, num_events: int, style: PrefillStyle
) -> None:
    value = json.loads(body)
    given_limits = {key: value[key] for key in ("max_tokens", "max_completion_tokens") if value[key] is not None}
    assert tokens_allowed(body) == min(given_limits.values(), default=float("inf"))
    if num_events >= tokens_allowed(body):
        return
    message = {"role": "assistant", "content": text} | ({"prefix": True} if style.endswith("prefix") else {})
    members = {"continue_final_message": True, "add_generation_prompt": False} if style.startswith("continue") else {}
    lowered = {key: limit - num_events for key, limit in given_limits.items()}
    changed = with_prefill(body, style, Prefill(text, num_events))
    assert json.loads(changed) == {**value, **lowered, **members, "messages": [*value["messages"], message]}
    assert scan(changed).model is None  # it is one JSON object, each of its names once
    assert tokens_allowed(changed) == 0  # it has its prefill


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"messages": [{"role": "user"}], "messages": []}'])
def test_what_is_no_request_allows_nothing(body: bytes) -> None:
    assert tokens_allowed(body) == 0


def test_members_that_are_set_already_are_set_anew() -> None:
    body = b'{"add_generation_prompt": true, "messages": [{"role": "user"}], "continue_final_message": false}'
    changed = json.loads(with_prefill(body, "continue_final_message", Prefill("x", 1)))
    assert (changed["add_generation_prompt"], changed["continue_final_message"]) == (False, True)
