"""What is sent for each fault, as a plan: no socket, no clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.ext.http1 import ChunkScanner, HeadLimits, ResponseHead, parse_response_head
from headgate.proxy.faults.asked import Asked
from headgate.proxy.faults.catalogue import KINDS
from headgate.proxy.faults.framing import Delivery
from headgate.proxy.faults.settings import Settings
from headgate.proxy.faults.shaping import completion_answer
from headgate.proxy.faults.spec import Spec, parse
from headgate.proxy.faults.steps import AwaitNext, End, Hold, Send, Step, Wait, steps
from headgate.proxy.faults.words import tokens_of

TEXT = "The café in 東京 counts: one 🚀"
TOKENS = tokens_of(TEXT)
SETTINGS = Settings(text=TEXT)
SHAPES = st.builds(
    Asked,
    is_chat=st.booleans(),
    model=st.just("m"),
    is_stream=st.booleans(),
    num_choices=st.integers(1, 3),
    max_tokens=st.none() | st.integers(0, 10),
    has_usage=st.booleans(),
    prefill=st.none(),
    num_prompt_tokens=st.just(2),
)
STREAM = Asked(True, "m", True, 1, None, True, None, 2)
WHOLE = Asked(True, "m", False, 1, None, True, None, 2)


def plan(asked: Asked, text: str = "well", delivery: Delivery | None = None) -> Iterator[Step]:
    spec = parse(text)
    return steps(completion_answer(asked, SETTINGS, spec, 1), spec, delivery or Delivery())


def sent(played: list[Step]) -> tuple[ResponseHead, bytes]:
    """Return head and raw body of what a plan sends."""
    data = b"".join(step.data for step in played if isinstance(step, Send))
    head, _, body = data.partition(b"\r\n\r\n")
    return parse_response_head(head + b"\r\n\r\n", HeadLimits(), request_method=b"POST"), body


def unchunked(raw: bytes) -> tuple[bytes, bool]:
    """Return the data of a chunked body, and whether it ended."""
    data = b""
    while raw:
        line, _, raw = raw.partition(b"\r\n")
        if not (size := int(line, 16)):
            return data, raw == b"\r\n"
        data, raw = data + raw[:size], raw[size + 2 :]
    return data, False


def body_of(played: list[Step]) -> tuple[bytes, bool]:
    """Return the body without its framing, and whether it is whole."""
    head, raw = sent(played)
    return unchunked(raw) if head.framing == "chunked" else (raw, len(raw) == head.content_length)


def events(body: bytes) -> list[Any]:
    """Return the events of a stream that ends with a whole one."""
    assert body.endswith(b"\n\n") or not body
    lines = [event.removeprefix(b"data: ") for event in body.split(b"\n\n")[:-1]]
    return [line.decode() if line == b"[DONE]" else json.loads(line) for line in lines]


def texts(body: bytes) -> dict[int, str]:
    """Return the text of each choice of a stream."""
    found: dict[int, str] = {}
    for event in events(body):
        for choice in event["choices"] if isinstance(event, dict) else ():
            text = choice["delta"].get("content", "") if "delta" in choice else choice["text"]
            found[choice["index"]] = found.get(choice["index"], "") + text
    return found


@given(SHAPES)
def test_a_well_answer_is_whole_and_says_the_text(asked: Asked) -> None:
    body, is_whole = body_of(list(plan(asked)))
    assert is_whole
    count = len(TOKENS) if asked.max_tokens is None else min(asked.max_tokens, len(TOKENS))
    expected = dict.fromkeys(range(asked.num_choices), "".join(TOKENS[:count]))
    reason = "stop" if count == len(TOKENS) else "length"
    total = count * asked.num_choices
    usage = {"prompt_tokens": 2, "completion_tokens": total, "total_tokens": 2 + total}
    if asked.is_stream:
        assert texts(body) == expected
        said = events(body)
        assert said.pop() == "[DONE]"
        assert not asked.has_usage or (said[-1]["choices"], said.pop()["usage"]) == ([], usage)
        reasons = [choice["finish_reason"] for event in said for choice in event["choices"]]
        assert [each for each in reasons if each] == [reason] * asked.num_choices
        assert all(("usage" in event) is asked.has_usage for event in said)
    else:
        value = json.loads(body)
        assert value.get("usage") == (usage if asked.has_usage else None)
        assert {choice["finish_reason"] for choice in value["choices"]} == {reason}
        said_texts = [choice["message"]["content"] if asked.is_chat else choice["text"] for choice in value["choices"]]
        assert dict(enumerate(said_texts)) == expected


@given(SHAPES, st.integers(0, 4000), st.sampled_from(["reset", "close"]))
def test_a_cut_lets_exactly_so_many_bytes_through(asked: Asked, at: int, how: str) -> None:
    well, _ = body_of(list(plan(asked)))
    played = list(plan(asked, f"cut_byte:{at},how={how}"))
    body, is_whole = body_of(played)
    assert body == well[:at]
    assert sum(step.num_body_bytes for step in played if isinstance(step, Send)) == min(at, len(well))
    if at <= len(well):
        assert played[-1] == End("reset" if how == "reset" else "close")
    assert is_whole is (at > len(well) or (at == len(well) and not asked.is_stream))


def test_a_stream_is_cut_inside_an_announced_chunk() -> None:
    _, raw = sent(list(plan(STREAM, "cut_byte:5")))
    assert raw.partition(b"\r\n")[2] == b"data:"
    assert int(raw.partition(b"\r\n")[0], 16) > 100


def test_a_cut_between_frames_ends_the_chunk() -> None:
    size = len(body_of(list(plan(STREAM, "cut:2")))[0])
    _, raw = sent(list(plan(STREAM, f"cut_byte:{size}")))
    assert raw.endswith(b"\n\n\r\n")


@pytest.mark.parametrize("asked", [replace(STREAM, max_tokens=0, num_choices=2), replace(STREAM, max_tokens=1)])
def test_every_choice_of_a_chat_begins_with_its_role(asked: Asked) -> None:
    said = [event for event in events(body_of(list(plan(asked)))[0]) if isinstance(event, dict)]
    roles = [(choice["index"], choice["delta"].get("role")) for event in said for choice in event["choices"]]
    firsts = dict(reversed(roles))
    assert firsts == dict.fromkeys(range(asked.num_choices), "assistant")
    assert len([role for _, role in roles if role]) == asked.num_choices


@pytest.mark.parametrize("kind", ["cut", "stall", "bad_chunk", "drip", "clean_end", "filter_finish", "error_event"])
@pytest.mark.parametrize("k", [0, 1, 2, len(TOKENS), len(TOKENS) + 5])
def test_so_many_tokens_come_before(kind: str, k: int) -> None:
    played = []
    for step in plan(STREAM, f"{kind}:{k}"):
        played.append(step)
        if isinstance(step, Wait) or (isinstance(step, Send) and b"no size" in step.data):
            played.pop()
            break  # a drip begins, or a chunk is broken
    assert sum(step.num_tokens for step in played if isinstance(step, Send)) == min(k, len(TOKENS))
    body, _ = body_of(played)
    assert texts(b"".join(_frames(body, b'"choices"'))).get(0, "") == "".join(TOKENS[:k])


def _frames(body: bytes, part: bytes) -> Iterator[bytes]:
    yield from (event + b"\n\n" for event in body.split(b"\n\n") if part in event)


def test_with_several_choices_tokens_are_dealt_in_turn() -> None:
    asked = Asked(True, "m", True, 3, None, False, None, 2)
    for kind in ("cut", "clean_end"):
        body, _ = body_of(list(plan(asked, f"{kind}:4")))
        assert texts(body) == {0: "".join(TOKENS[:2]), 1: TOKENS[0], 2: TOKENS[0]}


def ending(asked: Asked, text: str) -> Step:
    return list(plan(asked, text))[-1]


def test_how_each_ends() -> None:
    for asked in (STREAM, WHOLE):
        assert list(plan(asked, "reset")) == [End("reset")]
        assert list(plan(asked, "close")) == [End("close")]
        assert list(plan(asked, "silence")) == [Hold()]
        assert ending(asked, "cut:2") == ending(asked, "cut:99") == End("reset")
        assert (
            ending(asked, "cut:2,how=close")
            == ending(asked, "short_body")
            == ending(asked, "bad_chunk")
            == End("close")
        )
        assert ending(asked, "stall:2") == Hold()
        assert list(plan(asked, "stale"))[-2:] == [AwaitNext(), End("close")]
        assert ending(asked, "stale,how=reset") == End("reset")


@pytest.mark.parametrize(
    "text", ["clean_end:2", "no_done", "no_usage", "bad_json:2", "error_event:2", "filter_finish:2"]
)
def test_what_is_only_said_is_sent_in_good_order(text: str) -> None:
    for asked in (STREAM, WHOLE):
        played = list(plan(asked, text))
        assert body_of(played)[1]
        assert not any(isinstance(step, End) for step in played)


def test_what_streams_say() -> None:
    clean = events(body_of(list(plan(STREAM, "clean_end:2")))[0])
    assert {choice["finish_reason"] for event in clean for choice in event["choices"]} == {None}
    assert "[DONE]" not in events(body_of(list(plan(STREAM, "no_done")))[0])
    assert b"usage" not in body_of(list(plan(STREAM, "no_usage")))[0]
    error = events(body_of(list(plan(STREAM, "error_event")))[0])
    assert [event["error"]["code"] for event in error] == ["fault"]
    filtered = events(body_of(list(plan(STREAM, "filter_finish:2")))[0])
    assert filtered[-3]["choices"][0]["finish_reason"] == "content_filter"
    bad = body_of(list(plan(STREAM, "bad_json:0")))[0].split(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(bad[0].removeprefix(b"data: "))
    assert texts(b"".join(event + b"\n\n" for event in bad[1:-1])) == {0: TEXT}


def test_what_whole_answers_say() -> None:
    clean = json.loads(body_of(list(plan(WHOLE, "clean_end:2")))[0])["choices"][0]
    assert (clean["message"]["content"], clean["finish_reason"]) == ("".join(TOKENS[:2]), None)
    filtered = json.loads(body_of(list(plan(WHOLE, "filter_finish:2")))[0])["choices"][0]
    assert (filtered["message"]["content"], filtered["finish_reason"]) == ("".join(TOKENS[:2]), "content_filter")
    assert "usage" not in json.loads(body_of(list(plan(WHOLE, "no_usage")))[0])
    assert body_of(list(plan(WHOLE, "bad_json")))[0] + b"}" == body_of(list(plan(WHOLE)))[0]
    head, _ = sent(list(plan(WHOLE, "error_event")))
    assert head.status == 500
    assert body_of(list(plan(WHOLE, "cut:2")))[0].endswith('"content":"{}'.format("".join(TOKENS[:2])).encode())


def test_a_broken_chunk_is_one() -> None:
    _, raw = sent(list(plan(STREAM, "bad_chunk:1")))
    scanner = ChunkScanner()
    with pytest.raises(ValueError, match="expected a chunk size"):
        scanner.feed(raw)
    assert sent(list(plan(WHOLE, "bad_chunk:1")))[0].framing == "chunked"


@given(SHAPES, st.integers(0, 3000))
def test_a_short_body_is_short_by_so_much(asked: Asked, missing: int) -> None:
    head, raw = sent(list(plan(asked, f"short_body:{missing}")))
    assert raw == body_of(list(plan(asked)))[0]
    assert head.content_length == len(raw) + missing


@given(SHAPES, st.integers(1, 5000))
def test_a_slow_body_is_the_same_body_spread_over_the_time(asked: Asked, over_ms: int) -> None:
    played = list(plan(asked, f"slow_body:{over_ms}ms"))
    assert body_of(played) == body_of(list(plan(asked)))
    waited_s = sum(step.seconds for step in played if isinstance(step, Wait))
    assert waited_s == pytest.approx(over_ms / 1000)
    assert sum(step.num_tokens for step in played if isinstance(step, Send)) == sum(
        step.num_tokens for step in plan(asked) if isinstance(step, Send)
    )


@given(SHAPES, st.integers(0, 5))
def test_a_drip_that_ends_is_the_same_body(asked: Asked, k: int) -> None:
    played = list(plan(asked, f"drip:{k},end=whole,every=10ms"))
    assert body_of(played) == body_of(list(plan(asked)))
    dripped = [step for step in played if isinstance(step, Send) and step.num_body_bytes == 1]
    assert len(dripped) >= 1 and sum(isinstance(step, Wait) for step in played) == len(dripped)


@pytest.mark.parametrize("asked", [STREAM, WHOLE])
def test_a_drip_for_ever_ends_no_event_and_is_bounded_by_the_hold(asked: Asked) -> None:
    played = list(plan(asked, "drip:1,every=100ms", Delivery(hold_s=30.0)))
    assert played[-1] == End("close")
    assert sum(step.seconds for step in played if isinstance(step, Wait)) == pytest.approx(30, abs=1)
    head, raw = sent(played)
    assert head.framing == "chunked"
    last = unchunked(raw)[0].rpartition(b"\n\n")[2]
    assert last.count(b" ") >= 300 and last.rstrip().endswith(b"{" if asked.is_stream else TOKENS[0].encode())


def waits(asked: Asked, text: str, delivery: Delivery) -> list[float | str]:
    """Return waits, heads and tokens in order."""
    shown: list[float | str] = []
    for step in plan(asked, text, delivery):
        if isinstance(step, Wait):
            shown.append(step.seconds)
        elif isinstance(step, Send) and (step.num_tokens or step.data.startswith(b"HTTP")):
            shown.append("token" if step.num_tokens else "head")
    return shown


def test_a_stream_has_its_pace() -> None:
    paced = Delivery(delay_s=2.0, pace_s=0.5)
    first = ["head", 2.0, "token", 0.5, "token"]
    assert waits(STREAM, "well", paced)[:5] == first
    assert waits(STREAM, "cut:2", paced) == first
    assert waits(STREAM, "late_head:1s", paced)[:3] == [1.0, "head", 2.0]
    assert waits(STREAM, "late_token:7s", paced)[:5] == ["head", 7.0, "token", 0.5, "token"]


def test_a_whole_answer_takes_as_long_as_its_tokens() -> None:
    paced = Delivery(delay_s=2.0, pace_s=0.5)
    whole_s = 2.0 + 0.5 * (len(TOKENS) - 1)
    assert waits(WHOLE, "well", paced) == [whole_s, "head", "token"]
    assert waits(WHOLE, "late_head:1s", paced) == [1.0, whole_s, "head", "token"]
    assert waits(WHOLE, "late_token:7s", paced) == ["head", 7.0, "token"]


def test_a_connection_that_is_not_kept_is_closed_after_the_whole_answer() -> None:
    for asked in (STREAM, WHOLE):
        played = list(plan(asked, delivery=Delivery(is_keep_alive=False)))
        head, _ = sent(played)
        assert (b"Connection", b"close") in head.fields
        assert played[-1] == End("close", is_whole=True)


def test_http_1_0_gets_no_chunks() -> None:
    head, raw = sent(list(plan(STREAM, delivery=Delivery(is_http_1_0=True, is_keep_alive=False))))
    assert head.framing == "close"
    assert texts(raw) == {0: TEXT}


@pytest.mark.parametrize(("status", "framing"), [(204, "none"), (304, "none"), (200, "length"), (599, "length")])
def test_any_status_is_framed_as_it_has_to_be(status: int, framing: str) -> None:
    head, raw = sent(list(plan(STREAM, f"status:{status},retry_after=7")))
    assert (head.status, head.framing) == (status, framing)
    assert (b"Retry-After", b"7") in head.fields
    assert bool(raw) is (framing == "length")


@given(st.sampled_from(sorted(KINDS)), SHAPES, st.booleans())
def test_every_fault_has_a_plan_for_every_request(kind: str, asked: Asked, is_head_only: bool) -> None:
    """A head is sent at most once, and first; after an end or a hold nothing follows."""
    text = {"status": "status:418", "cut_byte": "cut_byte:9"}.get(kind, kind)
    played = list(plan(asked, text, Delivery(is_head_only=is_head_only, hold_s=3.0)))
    sends = [step for step in played if isinstance(step, Send)]
    assert [step for step in sends if step.data.startswith(b"HTTP/1.1")] == sends[:1]
    assert all(sends), "an empty write sends nothing"
    if is_head_only:
        assert sum(step.num_body_bytes for step in sends) == 0
    assert all(not isinstance(step, End | Hold) for step in played[:-1])


def test_an_unused_spec_is_well() -> None:
    assert list(plan(STREAM)) == list(steps(completion_answer(STREAM, SETTINGS, None, 1), None, Delivery()))
    assert Spec("well") == parse("well")
