"""Single streams: what of their events goes on to the client, when the answer has begun, when it is whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.ext.sse import Event, EventScanner
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.progress import Progress
from headgate.proxy.exchange.transcript import Transcript

ROLE = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'
WORD = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
OTHER = b'data: {"type":"response.created"}\n\n'
PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
BAD = b'data: {"choices":\n\n'
LARGE = b"data: " + b"x" * 4096 + b"\n\n"
ERROR = b'data: {"error":{"type":"server_error","code":"overloaded","message":"no room"}}\n\n'
FILTERED = b'data: {"error":{"type":"server_error","code":"content_filter","message":"no"}}\n\n'
MAX_CURSOR_BYTES = 1 << 20
UNFINISHED = "[DONE] came without a finish_reason for every choice"


def events_of(*raws: bytes, limit_bytes: int = 2048) -> list[Event]:
    return EventScanner(limit_bytes).feed(b"".join(raws))


def with_id(raw: bytes, id_: bytes) -> bytes:
    return b"id: %b\n%b" % (id_, raw)


def told(progress: Progress, *raws: bytes) -> tuple[bytes, str]:
    """Feed events; return what goes on, and the failure in words."""
    passed, error = progress.take(events_of(*raws))
    return passed, f"{error.kind.name}: {error.detail}" if error is not None else ""


def after(*raws: bytes, is_strict: bool = True) -> Progress:
    progress = Progress(is_strict=is_strict)
    assert told(progress, *raws) == (b"".join(raws), "")
    return progress


@pytest.mark.parametrize("is_strict", (True, False))
@pytest.mark.parametrize(
    ("raws", "has_begun", "has_chunks", "num_tokens"),
    [
        ((), False, False, 0),
        ((PING, PING), False, False, 0),
        ((ROLE,), False, True, 0),
        ((ROLE, PING), False, True, 0),
        ((ROLE, ROLE), True, True, 0),
        ((WORD,), True, True, 1),
        ((STOP,), True, True, 0),
        ((ROLE, WORD, WORD), True, True, 2),
        ((OTHER,), True, False, 0),
        ((USAGE,), True, False, 0),
        ((OTHER, ROLE), True, True, 0),
        ((ROLE, WORD, STOP, USAGE, DONE), True, True, 2),  # the chunk with the reason is counted with the words
    ],
)
def test_an_answer_has_begun_once_there_is_something_to_show(
    raws: tuple[bytes, ...], has_begun: bool, has_chunks: bool, num_tokens: int, is_strict: bool
) -> None:
    progress = after(*raws, is_strict=is_strict)
    assert (progress.has_begun, progress.has_chunks, progress.num_tokens) == (has_begun, has_chunks, num_tokens)
    assert progress.num_events == sum(raw is not PING for raw in raws)


@pytest.mark.parametrize(
    ("raws", "is_whole", "end"),
    [
        ((), False, None),
        ((PING,), False, None),
        ((OTHER,), False, b"rest"),
        ((ROLE,), False, None),
        ((WORD, USAGE), False, None),
        ((WORD, STOP), True, DONE),
        ((WORD, STOP, USAGE), True, DONE),
        ((WORD, STOP, DONE), True, b""),
        ((OTHER, DONE), True, b""),
        ((WORD, FILTERED), True, b""),
        ((FILTERED,), True, b""),
    ],
)
def test_an_answer_is_whole_with_a_reason_for_its_end_and_gets_the_formal_end(
    raws: tuple[bytes, ...], is_whole: bool, end: bytes | None
) -> None:
    progress = after(*raws)
    assert progress.is_whole is is_whole
    if end is not None:
        assert progress.end(b"rest") == end
        return
    with pytest.raises(GatewayError) as caught:
        progress.end(b"rest")
    assert str(caught.value) == "truncated: the stream ended without a finish_reason for every choice"


@given(st.lists(st.sampled_from((ROLE, WORD, STOP, USAGE, OTHER, PING, DONE, BAD, LARGE)), max_size=8))
def test_a_stream_of_anything_else_is_passed_on_as_it_is(raws: list[bytes]) -> None:
    progress = after(*raws, is_strict=False)
    assert not progress.is_whole
    assert progress.end(b"rest") == b"rest"


def test_of_a_stream_of_anything_else_an_error_counts_in_place_of_its_first_event() -> None:
    for raws in ((ERROR,), (PING, ERROR)):
        told_first = told(Progress(is_strict=False), *raws)
        assert told_first == (b"".join(raws[:-1]), "error_event: the stream reports overloaded: no room")
    after(OTHER, ERROR, OTHER, is_strict=False)
    after(BAD, ERROR, is_strict=False)


@pytest.mark.parametrize("end", [DONE, b"data: \t[DONE] \n\n", b"event: end\ndata: [DONE]\n\n"])
@pytest.mark.parametrize("raws", [(), (PING,), (ROLE,), (ROLE, WORD), (OTHER, ROLE)])
def test_an_end_before_the_end_is_not_passed_on(raws: tuple[bytes, ...], end: bytes) -> None:
    progress = Progress()
    assert told(progress, *raws, end, PING) == (b"".join(raws), f"truncated: {UNFINISHED}")
    assert not progress.is_whole


def test_every_choice_that_was_asked_for_has_to_end() -> None:
    progress, second = Progress(2), STOP.replace(b'{"delta"', b'{"index":1,"delta"')
    assert told(progress, STOP, DONE) == (STOP, f"truncated: {UNFINISHED}")
    assert told(progress, second, DONE) == (second + DONE, "")


@pytest.mark.parametrize("raw", [WORD, BAD, ERROR, LARGE, DONE, STOP])
@pytest.mark.parametrize("is_skipping", (True, False))
def test_nothing_with_data_follows_the_end(raw: bytes, is_skipping: bool) -> None:
    progress = Progress(is_skipping=is_skipping)
    assert told(progress, WORD, STOP, DONE, raw, PING) == (WORD + STOP + DONE + PING, "")
    assert progress.end(b"") == b""


@pytest.mark.parametrize("raw", [BAD, ERROR, LARGE])
def test_what_is_broken_after_the_last_reason_is_left_out(raw: bytes) -> None:
    progress = Progress()
    assert told(progress, WORD, STOP, raw, USAGE) == (WORD + STOP + USAGE, "")
    assert progress.end(b"") == DONE


@pytest.mark.parametrize("raws", [(), (OTHER,), (ROLE, WORD)])
@pytest.mark.parametrize(
    ("raw", "failure", "skipped"),
    [
        (BAD, "malformed_event: an event that is malformed", True),
        (LARGE, "malformed_event: an event that is overflow", False),
        (ERROR, "error_event: the stream reports overloaded: no room", False),
    ],
)
def test_an_event_that_no_client_could_read_breaks_the_stream_or_is_left_out(
    raws: tuple[bytes, ...], raw: bytes, failure: str, skipped: bool
) -> None:
    assert told(Progress(), *raws, raw, WORD) == (b"".join(raws), failure)
    expected = (b"".join(raws) + WORD, "") if skipped else (b"".join(raws), failure)
    progress = Progress(is_skipping=True)
    assert told(progress, *raws, raw, WORD) == expected
    assert progress.num_events == len(raws) + skipped, "what was left out is not counted"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"error":{"type":"a","code":"b","message":"c"}}', "b: c"),
        (b'{"error":{"type":"a","message":"c"}}', "a: c"),
        (b'{"error":"c"}', "an error: c"),
        (b"[DONE]", "an error: [DONE]"),
    ],
)
def test_an_error_is_told_by_its_code_or_type_and_kept_as_it_came(data: bytes, words: str) -> None:
    raw = b"event: error\ndata: %b\n\n" % data
    passed, error = Progress().take(events_of(WORD, raw))
    assert passed == WORD
    assert error is not None
    assert (error.kind.name, error.detail, error.event) == ("error_event", f"the stream reports {words}", raw)


@pytest.mark.parametrize(
    "raw", [FILTERED, FILTERED.replace(b'"code"', b'"x"').replace(b"server_error", b"content_filter")]
)
def test_a_refusal_by_a_content_filter_is_the_answer_and_whole(raw: bytes) -> None:
    progress = Progress()
    assert told(progress, raw) == (raw, "")
    assert (progress.has_begun, progress.has_chunks, progress.is_whole) == (True, False, True)
    assert told(progress, BAD, DONE) == (BAD + DONE, "")


def test_cursors_are_the_ids_of_what_was_passed_on() -> None:
    progress = Progress()
    raws = [with_id(ROLE, b"1"), PING, with_id(WORD, b"2"), with_id(STOP, b"3"), with_id(USAGE, b"4"), DONE]
    assert told(progress, *raws) == (b"".join(raws), "")
    assert (progress.cursors, progress.is_resumable) == ([b"1", b"2", b"3", b"4"], True)


@pytest.mark.parametrize("raw", [WORD, OTHER, b"id:\n" + WORD])
def test_one_event_without_an_id_ends_it_for_good(raw: bytes) -> None:
    progress = after(with_id(WORD, b"1"), raw, with_id(WORD, b"2"))
    assert (progress.cursors, progress.is_resumable) == ([], False)


@pytest.mark.parametrize(("last_bytes", "is_resumable"), [(1000, True), (1001, False)])
def test_what_is_kept_of_cursors_is_bounded(last_bytes: int, is_resumable: bool) -> None:
    progress = Progress()
    sizes = [(MAX_CURSOR_BYTES - 1000) // 2] * 2 + [last_bytes]
    raws = [with_id(WORD, b"x" * size) for size in sizes]
    assert progress.take(events_of(*raws, limit_bytes=1 << 20)) == (b"".join(raws), None)
    assert (len(progress.cursors), progress.is_resumable) == ((3, True) if is_resumable else (0, False))


@pytest.mark.parametrize(
    ("raws", "lacks_usage"),
    [
        ((with_id(WORD, b"1"),), False),
        ((with_id(WORD, b"1"), with_id(STOP, b"2")), True),
        ((with_id(WORD, b"1"), STOP), False),
        ((with_id(WORD, b"1"), with_id(STOP, b"2"), with_id(USAGE, b"3")), False),
        ((with_id(WORD, b"1"), with_id(STOP, b"2"), DONE), False),
    ],
)
def test_the_usage_is_missing_between_the_last_reason_and_the_end(raws: tuple[bytes, ...], lacks_usage: bool) -> None:
    for is_owed in (False, True):
        progress = after(*raws)
        if is_owed:
            progress.is_usage_owed = True  # by whoever knows what was asked for; until then it is not
        assert progress.lacks_usage is (lacks_usage and is_owed)


def test_the_transcript_is_of_the_chunks_that_were_passed_on() -> None:
    progress = Progress(transcript=Transcript())
    assert progress.transcript is not None
    assert told(progress, ROLE, PING, WORD, OTHER, WORD, BAD, WORD)[0] == ROLE + PING + WORD + OTHER + WORD
    assert (progress.transcript.text, progress.transcript.num_events) == ("wordword", 2)


@pytest.mark.parametrize("is_strict", (True, False))
def test_what_tells_nothing_new_changes_nothing_but_its_number(is_strict: bool) -> None:
    at_once, one_by_one = (after(ROLE, WORD, is_strict=is_strict) for _ in range(2))
    assert at_once.is_steady
    at_once.passed(2)
    assert told(one_by_one, WORD, WORD) == (WORD + WORD, "")
    for each in (at_once, one_by_one):
        assert (each.num_events, each.num_tokens, each.is_steady, each.cursors) == (4, 3, True, [])


@pytest.mark.parametrize(
    "progress",
    [
        Progress(),
        after(ROLE, ROLE),
        after(with_id(ROLE, b"1"), with_id(WORD, b"2")),
        after(OTHER, PING),
    ],
)
def test_a_stream_that_each_event_may_change_is_not_steady(progress: Progress) -> None:
    assert not progress.is_steady


def test_a_stream_whose_words_are_kept_is_not_steady() -> None:
    progress = Progress(transcript=Transcript())
    assert told(progress, ROLE, WORD) == (ROLE + WORD, "")
    assert not progress.is_steady
