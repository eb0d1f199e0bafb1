"""The access log: one whole line per exchange, whatever stands in it."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.line_writer import MAX_QUEUED
from headgate.proxy.verdicts import Identity, Outcome

OUTCOME = Outcome(
    status=200,
    error=None,
    detail="",
    target="up/m",
    attempts=2,
    is_fallback=True,
    cache="miss",
    received_bytes=3,
    sent_bytes=5,
    duration_s=0.0123456,
    first_byte_s=0.001,
    model="m",
    prompt_tokens=7,
    completion_tokens=None,
    is_client_gone=False,
    failures=(("up/x", "silent"),),
    extra={"shard": "7"},
)


class NoBody:
    length = 0
    is_empty = True

    async def read(self, limit_bytes: int) -> bytes:
        return b""

    def arrived(self, limit_bytes: int) -> bytes | None:
        return b""

    def replace(self, data: bytes) -> None:
        raise AssertionError("nobody replaces this body")


def exchange(path: str = "/v1/x", identity: Identity | None = None) -> Exchange:
    fields = Fields([(b"Authorization", b"Bearer secret-1")])
    target = f"{path}?token=secret-2"
    request = Request("POST", target, path, "token=secret-2", "a", "http", "10.0.0.1", "1.2.3.4", fields, NoBody())
    made = Exchange(request, "request-1", lambda: 0.0)
    made.route = RouteView("chat", (), {}, True, 0)
    made.trace_id = "trace-1"
    made.identity = identity
    return made


def written(path: Path, log: AccessLog) -> list[dict[str, Any]]:
    log.close()
    text = path.read_bytes()
    assert not text or text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_tells_what_is_needed_and_no_secret(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "log"))
    log.write(exchange(identity=Identity("key-1", "acme")), OUTCOME)
    (line,) = written(tmp_path / "log", log)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "request_id": "request-1",
        "trace_id": "trace-1",
        "client": "1.2.3.4",
        "method": "POST",
        "host": "a",
        "path": "/v1/x",
        "route": "chat",
        "key_id": "key-1",
        "tenant": "acme",
        "model": "m",
        "target": "up/m",
        "attempts": 2,
        "fallback": True,
        "failures": ["up/x: silent"],
        "cache": "miss",
        "status": 200,
        "level": "info",
        "error": None,
        "detail": None,
        "client_gone": False,
        "received_bytes": 3,
        "sent_bytes": 5,
        "duration_ms": 12.346,
        "first_byte_ms": 1.0,
        "prompt_tokens": 7,
        "completion_tokens": None,
        "extra": {"shard": "7"},
    }
    assert "secret" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("text", ["\ud800", "\u00ff\x00\x1b[31m", 'a"\nb\u2028', "x" * 100_000])
def test_any_text_is_one_line_of_bounded_size(tmp_path: Path, text: str) -> None:
    log = AccessLog(str(tmp_path / "log"))
    odd = dataclasses.replace(
        OUTCOME, model=text, detail=text, error="internal", failures=((text, text),), extra={text: text}
    )
    log.write(exchange(path=text, identity=Identity(text, text)), odd)
    log.write_refused("1.2.3.4", "bad_request", 400, text)
    first, second = written(tmp_path / "log", log)
    assert (first["status"], first["level"], second["error"]) == (200, "error", "bad_request")
    assert (tmp_path / "log").stat().st_size < 200_000


def test_a_plugins_field_that_is_no_text_costs_no_line(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "log"))
    odd: Any = {"a": 2**80, "b": object(), 3: None}
    log.write(exchange(), dataclasses.replace(OUTCOME, extra=odd))
    (line,) = written(tmp_path / "log", log)
    assert line["extra"].keys() == {"a", "b", "3"}
    assert line["extra"]["a"] == str(2**80)


def test_no_line_is_lost_or_torn_while_the_file_is_rotated(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "log"))
    num_lines, num_files = 3_000, 30
    rotated = []

    def rotate() -> None:
        for number in range(num_files):
            rotated.append((tmp_path / "log").rename(tmp_path / f"log.{number}"))
            log.reopen()

    rotating = threading.Thread(target=rotate)
    rotating.start()
    for number in range(num_lines):
        log.write_refused(str(number), "bad_request", 400, "")
    rotating.join()
    log.close()
    lines = [line for path in (*rotated, tmp_path / "log") for line in path.read_bytes().splitlines()]
    assert log.num_lost == 0
    assert [json.loads(line)["peer"] for line in lines] == [str(number) for number in range(num_lines)]


def test_a_file_that_cannot_be_opened_again_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AccessLog(str(folder / "log"))
    folder.rename(tmp_path / "moved")
    with pytest.raises(OSError):
        log.reopen()
    log.write_refused("1", "bad_request", 400, "")
    assert [line["peer"] for line in written(tmp_path / "moved" / "log", log)] == ["1"]


def test_the_time_of_a_line_is_that_of_its_writing_to_the_millisecond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AccessLog(str(tmp_path / "log"))
    told = [
        (0, "1970-01-01T00:00:00.000Z"),
        (999_999, "1970-01-01T00:00:00.000Z"),
        (1_000_000, "1970-01-01T00:00:00.001Z"),
        (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999Z"),
        (1_709_251_200_000_000_000, "2024-03-01T00:00:00.000Z"),
        (1_709_251_200_070_000_000, "2024-03-01T00:00:00.070Z"),
        (1_709_251_199_070_000_000, "2024-02-29T23:59:59.070Z"),
    ]
    for now_ns, _ in told:
        monkeypatch.setattr("time.time_ns", lambda now_ns=now_ns: now_ns)
        log.write_refused("1", "bad_request", 400, "")
    monkeypatch.undo()
    assert [line["ts"] for line in written(tmp_path / "log", log)] == [text for _, text in told]


def test_off_writes_nothing_and_costs_nothing(tmp_path: Path) -> None:
    log = AccessLog("off")
    log.write(exchange(), OUTCOME)
    log.write_refused("1", "bad_request", 400, "")
    log.reopen()
    log.close()
    assert log.num_lost == 0


def test_lines_that_nobody_takes_are_counted_and_bounded(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(str(pipe))
    try:
        log.write_refused("0", "bad_request", 400, "")
        os.set_blocking(reading, True)
        assert os.read(reading, 1 << 16).count(b"\n") == 1  # no descriptor waits with the lines
        more = MAX_QUEUED + 2_000  # a pipe takes 64 KiB, the queue MAX_QUEUED lines
        for number in range(more):
            log.write_refused(str(number), "bad_request", 400, "x" * 500)
        assert 0 < log.num_lost <= 2_000
        lost = log.num_lost
        got = b""
        while got.count(b"\n") < more - lost:
            got += os.read(reading, 1 << 16)
        peers = [int(json.loads(line)["peer"]) for line in got.splitlines()]
        assert peers == sorted(peers) and len(peers) == more - lost
    finally:
        log.close()
        os.close(reading)


def test_lines_leave_in_blocks_that_a_pipe_takes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or lines of several processes would be torn apart. Of a pipe in packet mode each read is what one write wrote."""
    reading, writing = os.pipe2(os.O_DIRECT)
    with os.fdopen(reading, "rb", 0) as pipe, open(writing, "w") as output:
        monkeypatch.setattr("sys.stdout", output)
        log = AccessLog("-")
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.extend(iter(lambda: os.read(reading, 1 << 16), b"end")))
        reader.start()
        for number in range(2000):
            log.write(exchange(path=f"/{number}"), OUTCOME)
        log.close()
        os.write(writing, b"end")
        reader.join()
        assert not pipe.closed
    assert all(block.endswith(b"\n") and len(block) <= 4096 for block in read)
    assert len(read) < 2000
    assert [json.loads(line)["path"] for line in b"".join(read).splitlines()] == [f"/{at}" for at in range(2000)]
    assert log.num_lost == 0
