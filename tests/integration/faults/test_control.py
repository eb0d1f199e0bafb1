"""Commanding the upstream over HTTP, and what it tells of the requests it saw."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from .conftest import TEXT
from .fault_process import FaultProcess
from .raw_peer import CHAT, STREAM, raw_peer

CHAT_PATH = "/v1/chat/completions"


def statuses(faults: FaultProcess, number: int, **fields: str) -> list[int]:
    return [faults.ask("POST", CHAT_PATH, CHAT, **fields)[0] for _ in range(number)]


def test_a_script_is_gone_through_and_shown(faults: FaultProcess) -> None:
    put = faults.call("PUT", "/faults", ["500,times=2", "well,once", " 429 , retry_after=2 "])
    assert put["script"] == ["500,times=2", "well,once", "429,retry_after=2"]
    assert (put["position"], put["in_force"], put["met"]) == (0, "500,times=2", [0, 0, 0])
    assert statuses(faults, 5) == [500, 500, 200, 429, 429]
    shown = faults.call("GET", "/faults")
    assert (shown["position"], shown["in_force"], shown["met"]) == (2, "429,retry_after=2", [2, 1, 2])
    assert shown["counts"] == {"500": 2, "well": 1, "429": 2}
    gone = faults.call("DELETE", "/faults")
    assert (gone["script"], gone["in_force"], gone["counts"]) == ([], None, {})
    assert statuses(faults, 1) == [200]


def test_settings_change_and_come_back(faults: FaultProcess) -> None:
    faults.call("PUT", "/faults", ["500,times=2"])
    assert statuses(faults, 1) == [500]
    shown = faults.call("PUT", "/faults", {"text": "one two", "name": "lite", "pace": "1ms", "delay": "2ms"})
    assert (shown["text"], shown["name"], shown["num_tokens"], shown["pace"]) == ("one two", "lite", 2, "1ms")
    assert shown["met"] == [1], "the script goes on where only settings change"
    assert statuses(faults, 1) == [500]
    answer = faults.call("POST", CHAT_PATH, CHAT)
    assert (answer["model"], answer["choices"][0]["message"]["content"]) == ("lite", "one two")
    shown = faults.call("DELETE", "/faults")
    assert (shown["text"], shown["name"], shown["pace"]) == (TEXT, "heavy", "0s")


def test_a_fault_ends_with_its_time(faults: FaultProcess) -> None:
    faults.call("PUT", "/faults", ["500,for=50ms", "503,once"])
    assert 503 in itertools.takewhile(lambda status: status != 200, (statuses(faults, 1)[0] for _ in range(10_000)))
    assert faults.call("GET", "/faults")["position"] == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["500", "cutt"], "did you mean `cut`?"),
        ([500], "script: got a list, wanted a list of texts"),
        ({"script": "500"}, 'script: got "500", wanted a list of texts'),
        ({"scripts": []}, 'got "scripts", did you mean `script`?'),
        ({"script": [], "pace": "x"}, 'pace: got "x", wanted a duration'),
        ({"text": "a", "tokens": 1}, "wanted one of them"),
        (["500,at=heavy"], "wanted it in the field x-fault only"),
        (["500"] * 1001, "got 1001 faults, wanted at most 1000"),
        ("500", "wanted a list of faults"),
    ],
)
def test_a_wrong_command_changes_nothing(faults: FaultProcess, value: Any, message: str) -> None:
    faults.call("PUT", "/faults", ["503"])
    status, answer = faults.ask("PUT", "/faults", value)
    assert (status, message in answer["error"]["message"]) == (400, True), answer
    shown = faults.call("GET", "/faults")
    assert (shown["script"], shown["text"]) == (["503"], TEXT)


def test_what_is_not_json_is_refused(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.sock.sendall(b"PUT /faults HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n[")
        head, body = peer.answer()
    assert head.startswith(b"HTTP/1.1 400 ") and b"wanted a list such as" in body


@pytest.mark.parametrize(("path", "method"), [("/faults", "POST"), ("/requests", "PUT"), ("/health", "POST")])
def test_other_methods_are_refused(faults: FaultProcess, path: str, method: str) -> None:
    assert faults.ask(method, path)[0] == 405


def test_a_fault_on_the_request_itself(faults: FaultProcess) -> None:
    assert statuses(faults, 1, x_fault="status:418") == [418]
    faults.call("PUT", "/faults", ["500,once"])
    assert statuses(faults, 1, x_fault="well") == [200]
    assert statuses(faults, 2) == [500, 200], "the script was not used up by it"
    assert statuses(faults, 1, x_fault="503,at=heavy") == [503]
    assert statuses(faults, 1, x_fault="503,at=lite") == [200]


@pytest.mark.parametrize("spec", ["cutt", "500,once", "500,for=1s"])
def test_a_wrong_fault_on_a_request_is_told(faults: FaultProcess, spec: str) -> None:
    status, answer = faults.ask("POST", CHAT_PATH, CHAT, x_fault=spec)
    assert (status, answer["error"]["param"]) == (400, "x-fault")
    assert "wanted" in answer["error"]["message"]


def test_other_requests_meet_a_fault_only_where_it_is_for_all(faults: FaultProcess) -> None:
    faults.call("PUT", "/faults", ["503"])
    assert [faults.ask("GET", path)[0] for path in ("/health", "/v1/models", "/other")] == [200, 200, 404]
    faults.call("PUT", "/faults", ["503,on=all"])
    assert [faults.ask("GET", path)[0] for path in ("/health", "/v1/models", "/other")] == [503] * 3
    assert faults.call("GET", "/faults")["met"] == [3]
    assert faults.ask("GET", "/health", x_fault="status:418")[0] == 418


def test_every_request_is_told(faults: FaultProcess) -> None:
    prefill = {"role": "assistant", "content": "The café", "prefix": True}
    value = {**STREAM, "model": "big", "messages": [*CHAT["messages"], prefill]}
    with raw_peer(faults.port) as peer:
        peer.send(value, "x-fault: cut:2", "X-Request-Id: r1", "x-headgate-deadline-ms: 4970", "Last-Event-ID: 9")
        peer.rest()
    faults.ask("GET", "/health")
    first, second = faults.requests()
    expected: dict[str, Any] = {"method": "POST", "path": CHAT_PATH, "model": "big", "stream": True}
    expected |= {"x-request-id": "r1", "x-headgate-deadline-ms": "4970", "last-event-id": "9"}
    expected |= {"prefill": "The café", "fault": "cut:2", "status": 200, "tokens": 2, "done": "reset"}
    assert {name: first[name] for name in expected} == expected
    assert first["end"].startswith("reset by us after ")
    assert (second["path"], second["fault"], second["done"], second["stream"]) == ("/health", None, "answered", False)
    assert second["number"] == first["number"] + 1 and second["at_s"] >= first["end_s"] >= first["done_s"]
    after: Any = faults.call("GET", f"/requests?after={first['number']}")
    assert [seen["number"] for seen in after["requests"]] == [second["number"]]
    assert faults.ask("GET", "/requests?since=1")[0] == 400
    assert faults.call("DELETE", "/requests") == {"requests": [], "forgotten": 0}


def test_requests_on_one_connection_are_told_apart(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        for _ in range(3):
            peer.send(CHAT)
            peer.answer()
        seen = faults.requests()
        assert [each["on_connection"] for each in seen] == [1, 2, 3]
        assert {each["connection"] for each in seen} == {seen[0]["connection"]}
        assert {each["end"] for each in seen} == {None}
    last = faults.until(lambda seen: seen[-1]["end"])[-1]
    assert last["end"].startswith("peer closed after ")


@pytest.mark.parametrize("fault", ["silence", "stall:1", "drip:1", "late_head:1h", "late_token:1h"])
@pytest.mark.parametrize("is_reset", [False, True])
def test_a_peer_that_leaves_is_told_at_once(faults: FaultProcess, fault: str, is_reset: bool) -> None:
    with raw_peer(faults.port) as peer:
        peer.send(STREAM, f"x-fault: {fault}")
        while not faults.requests():
            pass  # bounded by the timeout of the test
        peer.leave(is_reset=is_reset)
    while (seen := faults.requests()[0])["end"] is None or seen["done"] is None:
        pass  # bounded by the timeout of the test
    assert seen["end"].startswith("peer reset after " if is_reset else "peer closed after ")
    assert seen["done"] == "peer left"


def test_what_is_no_request_is_refused(faults: FaultProcess) -> None:
    with raw_peer(faults.port) as peer:
        peer.sock.sendall(b"nonsense\r\n\r\n")
        head, body = peer.answer()
        assert head.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in head and b"bad_request" in body
        assert peer.rest() == (b"", "FIN")
    assert faults.ask("POST", CHAT_PATH, {"messages": []})[0] == 400
    assert faults.requests()[0]["done"] == "answered"
