"""A stream cut after any event goes on at another server, byte for byte; what cannot go on is refused."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson
import pytest

from headgate.inference.sample_checkpoint import write_sample_checkpoint

from ...prepared import Process

DEMO = Path(__file__).parents[3] / "demo" / "models"
# Letters of one to four bytes: broken and whole characters, and tokens held back for them.
FAVOURED = "abcdefghijklmnopqrst äöß€😀"
CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
FIELD = "x-headgate-numerics"

# The first test of a pair waits for its servers, which load torch.
pytestmark = pytest.mark.timeout(150)


class Server(Protocol):
    """What these tests use of a server."""

    process: Process

    def ask(self, method: str, path: str, body: object = None, **fields: str) -> tuple[int, dict[str, str], bytes]: ...

    def connect(self) -> http.client.HTTPConnection: ...

    def metric(self, name: str) -> int: ...


Launch = Callable[..., Server]


@dataclass(frozen=True)
class Pair:
    """Two processes that serve one model: where streams begin, and where they go on."""

    first: Server
    second: Server


@pytest.fixture(scope="module")
def letters_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resumed") / "letters"
    write_sample_checkpoint(path, has_end=False, favoured=FAVOURED)
    return path


@pytest.fixture(scope="module")
def letters(launch: Launch, letters_dir: Path) -> Pair:
    return Pair(launch(letters_dir, "--name", "m"), launch(letters_dir, "--name", "m"))


@pytest.fixture(scope="module")
def demo(launch: Launch) -> Pair:
    return Pair(launch(DEMO / "lite", "--name", "m"), launch(DEMO / "lite", "--name", "m"))


def _body(**fields: object) -> dict[str, Any]:
    return {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 24, **fields}


def _hi(text: str = "hi") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _stream(server: Server, path: str, body: dict[str, Any], **fields: str) -> list[bytes]:
    """Ask for a stream and give its events, the last one too; joined they are the bytes that came."""
    status, got, data = server.ask("POST", path, body, **fields)
    assert status == 200, data
    assert got["content-type"] == "text/event-stream; charset=utf-8"
    *events, end = data.split(b"\n\n")
    assert end == b""
    assert events[-1] == b"data: [DONE]"
    return [event + b"\n\n" for event in events]


def _cursors(events: list[bytes]) -> list[str]:
    return [event.split(b"\n")[0].removeprefix(b"id: ").decode() for event in events if event.startswith(b"id: ")]


def _chunks(events: list[bytes]) -> list[dict[str, Any]]:
    return [orjson.loads(event.partition(b"data: ")[2]) for event in events[:-1]]


def _text(events: list[bytes]) -> str:
    choices = [choice for chunk in _chunks(events) for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content", "") if "delta" in choice else choice["text"] for choice in choices)


def _cut_after_every_event(pair: Pair, path: str, body: dict[str, Any]) -> list[bytes]:
    """Hold the law for one request; gives its undisturbed stream."""
    whole = _stream(pair.first, path, body)
    cursors = _cursors(whole)
    assert len(cursors) == len(whole) - 1
    for cut in range(1, len(whole)):
        resumed = _stream(pair.second, path, {**body, "headgate_resume": cursors[:cut]})
        assert b"".join(whole[:cut] + resumed) == b"".join(whole), f"cut after event {cut}"
    return whole


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"messages": _hi(), "temperature": 0}),
        (CHAT, {"messages": _hi(), "seed": 3}),
        (CHAT, {"messages": _hi(), "temperature": 1.6, "top_p": 0.9, "stream_options": None}),
        (CHAT, {"messages": _hi("größer 😀?"), "seed": -5, "temperature": 1.3}),
        (CHAT, {"messages": _hi(), "max_tokens": 1}),
        (TEXT, {"prompt": "once", "seed": 2**60}),
        # The 256th row of the cache, where it grows, lies within the answer.
        (TEXT, {"prompt": [7, 8, 9] * 82, "temperature": 0, "stream_options": None}),
    ],
    ids=["greedy", "seeded", "drawn seed", "multibyte prompt", "one token", "text", "grown cache"],
)
def test_delivered_and_resumed_events_are_the_undisturbed_stream(
    letters: Pair, path: str, fields: dict[str, Any]
) -> None:
    whole = _cut_after_every_event(letters, path, _body(**fields))
    has_usage = fields.get("stream_options", True) is not None
    last = _chunks(whole)[-2 if has_usage else -1]
    assert last["choices"][0]["finish_reason"] == "length"
    if has_usage:
        assert _chunks(whole)[-1]["usage"]["completion_tokens"] == fields.get("max_tokens", 24)


def test_characters_of_many_bytes_and_many_tokens_in_an_event_are_among_them(letters: Pair) -> None:
    body = _body(messages=_hi(), temperature=0, max_tokens=48)
    whole = _cut_after_every_event(letters, CHAT, body)
    assert "ß" in _text(whole)
    assert len(whole) < 48 - 10


@pytest.mark.parametrize("size", [1, 2, 5])
def test_stop_strings_end_a_resumed_stream_where_they_end_the_undisturbed_one(letters: Pair, size: int) -> None:
    body = _body(messages=_hi(), temperature=0, max_tokens=60)
    free = _text(_stream(letters.first, CHAT, body))
    begin = free.index("ß") + 1 - size
    # The second one begins often and is held back in vain.
    body |= {"stop": [free[begin : begin + size], "g\ufffdg!"]}
    whole = _cut_after_every_event(letters, CHAT, body)
    assert _chunks(whole)[-2]["choices"][0]["finish_reason"] == "stop"
    assert free.startswith(_text(whole) + body["stop"][0])


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"seed": 5}, {"temperature": 1.5}], ids=str)
def test_the_demo_model_resumes_up_to_its_own_end(demo: Pair, fields: dict[str, Any]) -> None:
    whole = _cut_after_every_event(demo, CHAT, _body(messages=_hi("bye"), **fields))
    if fields == {"temperature": 0}:
        assert _chunks(whole)[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_resumed_stream_that_is_cut_again_goes_on_too(letters: Pair) -> None:
    body = _body(messages=_hi())
    whole = _stream(letters.first, CHAT, body)
    events: list[bytes] = whole[:3]
    while not events[-1].endswith(b"[DONE]\n\n"):
        # Each time only four more come through.
        events += _stream(letters.second, CHAT, {**body, "headgate_resume": _cursors(events)})[:4]
    assert events == whole


def test_a_stream_whose_server_was_killed_goes_on_at_the_other(letters: Pair, letters_dir: Path, start: Launch) -> None:
    body = _body(messages=_hi(), seed=8, max_tokens=400)
    other = letters.second
    undisturbed = _stream(other, CHAT, body)
    dying = start("--name", "m", model_dir=letters_dir)
    connection = dying.connect()
    connection.request("POST", CHAT, orjson.dumps(body))
    answer = connection.getresponse()
    numerics = answer.headers[FIELD]
    delivered: list[bytes] = []
    while len(delivered) < 20:
        delivered.append(answer.readline() + answer.readline() + answer.readline())
    dying.process.kill()
    connection.close()
    resume = {**body, "headgate_resume": _cursors(delivered)}
    whole = delivered + _stream(other, CHAT, resume, x_headgate_numerics=numerics)
    assert _text(whole) == _text(undisturbed)
    assert _chunks(whole)[-1]["usage"] == _chunks(undisturbed)[-1]["usage"]
    assert len({(chunk["id"], chunk["created"]) for chunk in _chunks(whole)}) == 1


def test_an_empty_list_is_an_answer_from_the_start(letters: Pair) -> None:
    body = _body(messages=_hi(), seed=4)
    whole = _stream(letters.first, CHAT, body)
    again = _stream(letters.first, CHAT, {**body, "headgate_resume": []})
    assert _text(again) == _text(whole)
    assert _cursors(again)[0] != _cursors(whole)[0]
    assert _chunks(again)[0]["id"] != _chunks(whole)[0]["id"]


def test_resumed_requests_and_replayed_tokens_are_counted_apart(letters: Pair) -> None:
    server, body = letters.first, _body(messages=_hi(), temperature=0, max_tokens=12)
    names = ("requests_resumed_total", "replayed_tokens_total", "generation_tokens_total", "prompt_tokens_total")
    whole = _stream(server, CHAT, body)
    before = [server.metric(name) for name in names]
    _stream(server, CHAT, {**body, "headgate_resume": _cursors(whole)[:4]})
    _stream(server, CHAT, {**body, "headgate_resume": _cursors(whole)})
    counted = [server.metric(name) - old for name, old in zip(names, before, strict=True)]
    assert counted[0] == 2
    assert counted[1] + counted[2] == 24
    assert 12 < counted[1] < 24
    assert counted[3] == 2 * _chunks(whole)[-1]["usage"]["prompt_tokens"]


# -- refusals


def _numerics(server: Server) -> str:
    return str(orjson.loads(server.ask("GET", "/ready")[2])["numerics"])


def test_other_numerics_are_refused_and_the_own_ones_told(letters: Pair, demo: Pair) -> None:
    own, same, other, same_as_other = map(_numerics, (letters.first, letters.second, demo.first, demo.second))
    assert own == same != other == same_as_other
    body = _body(messages=_hi())
    status, fields, data = letters.first.ask("POST", CHAT, body, x_headgate_numerics=own)
    assert (status, fields[FIELD]) == (200, own)
    cursors = _cursors(data.split(b"\n\n"))
    for wanted, resume in ((own, cursors), (own, []), ("", cursors)):
        request = {**body, "headgate_resume": resume}
        status, fields, data = demo.first.ask("POST", CHAT, request, x_headgate_numerics=wanted)
        error = orjson.loads(data)["error"]
        assert (status, error["code"], error["param"]) == (412, "numerics_mismatch", FIELD)
        assert error["type"] == "invalid_request_error"
        assert fields[FIELD] == other
    # Without the field the cursors themselves tell.
    status, _, data = demo.first.ask("POST", CHAT, {**body, "headgate_resume": cursors[:2]})
    assert (status, orjson.loads(data)["error"]["code"]) == (400, "invalid_cursor")


def _without_the_first(cursors: list[str]) -> list[str]:
    return cursors[1:]


def _with_a_gap(cursors: list[str]) -> list[str]:
    return cursors[:2] + cursors[3:5]


def _with_an_overlap(cursors: list[str]) -> list[str]:
    return [*cursors[:3], cursors[2], *cursors[3:]]


def _shuffled(cursors: list[str]) -> list[str]:
    return [cursors[0], cursors[2], cursors[1]]


def _cut_short(cursors: list[str]) -> list[str]:
    return [*cursors[:2], cursors[2][:-1]]


def _too_many(cursors: list[str]) -> list[str]:
    return cursors * 20


def _strange(cursors: list[str]) -> list[str]:
    return [*cursors[:2], "nonsense"]


@pytest.mark.parametrize(
    "change", [_without_the_first, _with_a_gap, _with_an_overlap, _shuffled, _cut_short, _too_many, _strange]
)
def test_a_list_that_does_not_fit_is_refused(letters: Pair, change: Callable[[list[str]], list[str]]) -> None:
    body = _body(messages=_hi(), temperature=0)
    cursors = _cursors(_stream(letters.first, CHAT, body))
    resumed = letters.second.metric("requests_resumed_total")
    status, _, data = letters.second.ask("POST", CHAT, {**body, "headgate_resume": change(cursors)})
    error = orjson.loads(data)["error"]
    assert (status, error["code"], error["param"]) == (400, "invalid_cursor", "headgate_resume")
    assert letters.second.metric("requests_resumed_total") == resumed


@pytest.mark.parametrize("value", ["a", [1], {}, True, [None]], ids=str)
def test_what_is_no_list_of_cursors_is_refused(letters: Pair, value: object) -> None:
    body = _body(messages=_hi(), headgate_resume=value)
    status, _, data = letters.first.ask("POST", CHAT, body)
    assert (status, orjson.loads(data)["error"]["code"]) == (400, "invalid_cursor")


def test_only_streams_resume(letters: Pair) -> None:
    body = _body(messages=_hi())
    cursors = _cursors(_stream(letters.first, CHAT, body))
    whole = {**body, "stream": False, "stream_options": None, "headgate_resume": cursors[:1]}
    status, _, data = letters.first.ask("POST", CHAT, whole)
    assert (status, orjson.loads(data)["error"]["code"]) == (400, "invalid_cursor")


def test_a_deadline_in_the_replay_has_a_status(letters: Pair) -> None:
    body = _body(messages=_hi())
    cursors = _cursors(_stream(letters.first, CHAT, body))
    resume = {**body, "headgate_resume": cursors}
    status, _, data = letters.first.ask("POST", CHAT, resume, x_headgate_deadline_ms="0")
    assert (status, orjson.loads(data)["error"]["code"]) == (504, "deadline_exceeded")
