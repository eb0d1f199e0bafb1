"""The scorecard's judgement: what a client is said to have seen, what counts as kept, and the page."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

from bench.scorecard import client
from bench.scorecard.__main__ import is_kept, page
from bench.scorecard.client import Seen, ask
from bench.scorecard.outages import Row
from bench.scorecard.scenario import HEAVY_TEXT, LITE_TEXT, NUM_TOKENS, Scenario, scenarios

from ...upstream import Call, upstream

STREAMED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def chunk(content: str | None = None, reason: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}]})


def whole(text: str, reason: str | None) -> bytes:
    return orjson.dumps({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": reason}]})


def error(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "said for people"}}


HEAVY = b"".join(chunk(word + " ") for word in HEAVY_TEXT.split()[:-1]) + chunk(HEAVY_TEXT.split()[-1])
STOP = chunk(reason="stop")
ERROR = event(error("stream_broken"))
WELL = HEAVY + STOP + DONE


async def _asked(answer: bytes, is_stream: bool) -> Seen:
    """Ask an upstream that sends these bytes and closes."""

    async def script(call: Call) -> None:
        assert orjson.loads(call.body)["stream"] is is_stream
        await call.send(answer)
        raise ConnectionResetError  # ends the connection

    async with upstream(script) as served, aiohttp.ClientSession() as session:
        return await ask(session, served.url, is_stream=is_stream)


def seen_of_a_stream(raw: bytes, *, is_cut: bool) -> Seen:
    end = b"" if is_cut else b"0\r\n\r\n"
    body = b"%x\r\n%b\r\n" % (len(raw), raw) if raw else b""
    return asyncio.run(_asked(STREAMED_HEAD + body + end, True))


def seen_of_a_whole(body: bytes, status: str = "200 OK", missing: int = 0, is_stream: bool = False) -> Seen:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) + missing}\r\nx-headgate-target: lite/lite\r\n\r\n"
    return asyncio.run(_asked(head.encode() + body, is_stream))


@pytest.mark.parametrize(
    ("raw", "end"),
    [
        (WELL, "heavy"),
        (chunk(LITE_TEXT[:9]) + chunk(LITE_TEXT[9:]) + STOP + DONE, "lite"),
        (b": a comment\n\n" + HEAVY + STOP + event({"choices": [], "usage": {"total_tokens": 3}}) + DONE, "heavy"),
        (HEAVY + chunk(reason="content_filter") + DONE, "cut off by the filter"),
        # an end that is none
        (HEAVY + STOP, "cut without a word"),
        (b"", "cut without a word"),
        (HEAVY + DONE, "whole without a finish_reason"),
        # words that no target says
        (HEAVY + chunk("!") + STOP + DONE, "text that nobody said"),
        (chunk(HEAVY_TEXT[:-1]) + STOP + DONE, "text that nobody said"),
        (chunk(HEAVY_TEXT[:9]) + chunk(LITE_TEXT) + STOP + DONE, "text that nobody said"),
        (STOP + DONE, "text that nobody said"),
    ],
)
def test_a_stream_that_ends_is_judged_by_its_text_its_reason_and_its_last_event(raw: bytes, end: str) -> None:
    assert seen_of_a_stream(raw, is_cut=False).end == end


@pytest.mark.parametrize(
    ("raw", "is_cut", "end"),
    [
        (chunk("Der") + ERROR, True, "error"),
        (ERROR, True, "error"),
        (HEAVY + ERROR + DONE, True, "an error, and an end as if all were well"),
        (HEAVY + STOP + ERROR, True, "an error, and an end as if all were well"),
        (HEAVY + ERROR, False, "an error, and an end as if all were well"),
        (ERROR + ERROR, True, "an error, and then more"),
        (ERROR + chunk("Der"), True, "an error, and then more"),
        (chunk("Der"), True, "cut without a word"),
        (WELL, True, "cut without a word"),
        (b"", True, "cut without a word"),
    ],
)
def test_a_break_is_kept_only_as_one_typed_error_and_a_cut_after_it(raw: bytes, is_cut: bool, end: str) -> None:
    seen = seen_of_a_stream(raw, is_cut=is_cut)
    assert seen.end == end
    assert seen.error == ("stream_broken" if ERROR in raw else "")


@pytest.mark.parametrize(
    ("body", "missing", "end"),
    [
        (whole(HEAVY_TEXT, "stop"), 0, "heavy"),
        (whole(LITE_TEXT, "length"), 0, "lite"),
        (whole(LITE_TEXT, "content_filter"), 0, "cut off by the filter"),
        (whole(LITE_TEXT, None), 0, "whole without a finish_reason"),
        (whole(LITE_TEXT + ".", "stop"), 0, "text that nobody said"),
        (whole(LITE_TEXT, "stop"), 1, "error"),
        (b"", 9, "error"),
    ],
)
def test_an_answer_that_is_not_streamed_is_judged_alike(body: bytes, missing: int, end: str) -> None:
    seen = seen_of_a_whole(body, missing=missing)
    assert (seen.end, seen.target) == (end, "lite/lite")


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    ("status", "body", "end", "told"),
    [
        ("503 Service Unavailable", orjson.dumps(error("no_target")), "error", "503 no_target"),
        ("429 Too Many Requests", orjson.dumps(error("rate_limited")), "error", "429 rate_limited"),
        ("429 Too Many Requests", orjson.dumps(error("insufficient_quota")), "429", "429 insufficient_quota"),
        ("400 Bad Request", orjson.dumps(error("context_length_exceeded")), "400", "400 context_length_exceeded"),
        # An error without a code is not typed.
        ("502 Bad Gateway", b"<html>", "502", "502 "),
        ("500 Internal Server Error", b'{"error": "no"}', "500", "500 "),
    ],
)
def test_a_refusal_counts_as_an_error_only_with_a_code_of_the_gateway(
    status: str, body: bytes, end: str, told: str, is_stream: bool
) -> None:
    seen = seen_of_a_whole(body, status, is_stream=is_stream)
    assert (seen.end, seen.error) == (end, told)


def test_a_connection_that_ends_without_an_answer_is_no_error_of_the_gateway() -> None:
    assert asyncio.run(_asked(b"", True)).end == "0"


def test_an_answer_that_never_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_BOUND_S", 0.05)

    async def main() -> Seen:
        async def script(call: Call) -> None:
            await call.send(STREAMED_HEAD)
            await call.gone()

        async with upstream(script) as served, aiohttp.ClientSession() as session:
            return await ask(session, served.url, is_stream=True)

    seen = asyncio.run(main())
    assert seen.end == "hangs" and seen.seconds >= 0.05


SCENARIO = Scenario("the fault", "500", "lite", within_s=3.0, attempts=2)
SEEN = Seen("lite", LITE_TEXT, "lite/lite", "", 3.0)


@pytest.mark.parametrize(
    ("end", "seconds", "attempts", "kept"),
    [
        ("lite", 3.0, 2, True),
        ("lite", 0.0, 0, True),
        ("heavy", 3.0, 2, False),
        ("lite", 3.001, 2, False),
        ("lite", 3.0, 3, False),
    ],
)
def test_kept_is_what_ends_as_it_must_in_time_and_with_few_attempts(
    end: str, seconds: float, attempts: int, kept: bool
) -> None:
    assert is_kept(SCENARIO, Seen(end, "", "", "", seconds), attempts) is kept


def test_the_page_shows_every_row_and_marks_what_was_not_kept() -> None:
    late = Seen("error", "", "heavy/heavy", "stream_broken", 12.345)
    outages = [Row("a minute", "20 served", "all served", True), Row("after it", "31 s", "30 s", False)]
    lines = page([(SCENARIO, SEEN, 1), (Scenario("b", "x", "error", is_stream=False), late, 4)], outages).splitlines()
    assert lines[0] == "# Scorecard"
    rows = [line for line in lines if line.startswith("|") and "---" not in line]
    assert [row for row in rows if row.count("|") == 8][1:] == [
        "| the fault | yes | lite | - | 1 | 3.00 | yes |",
        "| b | no | error | stream_broken | 4 | 12.35 | **no** |",
    ]
    assert [row for row in rows if row.count("|") == 5][1:] == [
        "| a minute | 20 served | all served | yes |",
        "| after it | 31 s | 30 s | **no** |",
    ]


def test_every_scenario_has_a_title_of_its_own() -> None:
    titles = [scenario.title for scenario in scenarios()]
    assert titles and len(titles) == len(set(titles))


@pytest.mark.parametrize("hold_back", [None, "complete"])
def test_streams_are_cut_after_every_token(hold_back: str | None) -> None:
    faults = [scenario.fault for scenario in scenarios() if scenario.route.get("hold_back") == hold_back]
    assert {f"cut:{count},how=reset" for count in range(NUM_TOKENS)} <= set(faults)
    assert len(HEAVY_TEXT.split()) == NUM_TOKENS
