"""Queue bound, graceful end, and the command line's refusals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import openai
import orjson
import pytest

from headgate.inference.__main__ import main

from ...prepared import Process

HI: dict[str, Any] = {"model": "sample", "messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"


class Server(Protocol):
    """What these tests use of a server."""

    process: Process
    log: Path

    def ask(self, method: str, path: str, body: object = None, **fields: str) -> tuple[int, dict[str, str], bytes]: ...

    def client(self, timeout_s: float = 30.0) -> openai.OpenAI: ...

    def connect(self) -> http.client.HTTPConnection: ...

    def metric(self, name: str) -> int: ...

    def wait_for(self, condition: Callable[[], bool], bound_s: float = 20.0) -> None: ...


Start = Callable[..., Server]


def _open(server: Server, **fields: object) -> http.client.HTTPConnection:
    connection = server.connect()
    connection.request("POST", CHAT, json.dumps({**HI, **fields}))
    return connection


def test_full_queue_is_503_with_retry_after_and_takes_more_once_there_is_room(start: Start) -> None:
    server = start("--max-waiting", "1", "--name", "sample")
    running = _open(server, max_tokens=16000)
    server.wait_for(lambda: server.metric("requests_running") == 1)
    waiting = _open(server, max_tokens=16000)
    server.wait_for(lambda: server.metric("requests_waiting") == 1)
    with server.client() as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(**HI)
    assert (caught.value.status_code, caught.value.code) == (503, "queue_full")
    assert int(caught.value.response.headers["retry-after"]) >= 1
    running.close()
    waiting.close()
    server.wait_for(lambda: server.metric("requests_running") == 0)
    assert server.ask("POST", CHAT, {**HI, "max_tokens": 1})[0] == 200


def test_sigterm_lets_running_streams_end_and_refuses_new_requests(start: Start) -> None:
    server = start()
    server.ask("POST", CHAT, {**HI, "max_tokens": 2}, x_request_id="seen")
    stream = _open(server, max_tokens=1000, stream=True)
    answer = stream.getresponse()
    assert answer.readline().startswith(b"id: ")
    server.process.send_signal(signal.SIGTERM)
    server.wait_for(lambda: server.ask("GET", "/ready")[0] == 503)
    assert server.ask("GET", "/health")[0] == 200
    status, fields, data = server.ask("POST", CHAT, HI)
    assert (status, fields["retry-after"], orjson.loads(data)["error"]["code"]) == (503, "1", "draining")
    events = answer.read().split(b"\n\n")
    stream.close()
    assert events[-2] == b"data: [DONE]"
    assert b'"finish_reason":"length"' in events[-3]
    assert server.process.wait(20) == 0
    # One line went to standard output, one for each exchange to the log.
    assert server.process.stdout.read() == ""
    lines = [line for line in server.log.read_text().splitlines() if " seen chat " in line]
    assert len(lines) == 1
    assert "status=200 prompt_tokens=5 completion_tokens=2 finish=length" in lines[0]


def test_stream_cut_at_the_end_of_the_grace_is_not_shown_as_complete(start: Start) -> None:
    server = start("--grace-s", "0")
    stream = _open(server, max_tokens=16000, stream=True)
    answer = stream.getresponse()
    answer.readline()
    server.process.send_signal(signal.SIGINT)
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    stream.close()
    assert b"[DONE]" not in caught.value.partial
    assert server.process.wait(20) == 0


def test_taken_port_is_one_line(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", str(checkpoint), "--listen", f"127.0.0.1:{port}"]) == 1
    message = f"headgate-inference: cannot listen on 127.0.0.1:{port}: Address already in use; choose another"
    assert _only_line(capsys).startswith(message)


def test_missing_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "none"), "--listen", "127.0.0.1:0"]) == 2
    assert _only_line(capsys) == f"headgate-inference: {tmp_path / 'none' / 'config.json'}: no such file"


def test_tokenizer_larger_than_the_model_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in checkpoint.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = orjson.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_bytes(orjson.dumps({**config, "vocab_size": 259}))
    assert main(["serve", str(tmp_path), "--listen", "127.0.0.1:0"]) == 2
    assert _only_line(capsys).endswith("tokenizer.json: expected at most vocab_size 259 tokens, got 260")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["serve"], "MODEL_DIR"),
        (["serve", "x", "--listen", "8000"], "expected HOST:PORT, got '8000'"),
        (["serve", "x", "--listen", "h:70000"], "expected HOST:PORT, got 'h:70000'"),
        (["serve", "x", "--threads", "0"], "expected a whole number from 1 to 256, got '0'"),
        (["serve", "x", "--threads", "100000000000"], "expected a whole number from 1 to 256, got '100000000000'"),
        (["serve", "x", "--max-waiting", "-1"], "expected"),
        (["bake"], "bake"),
        ([], "COMMAND"),
    ],
)
def test_wrong_command_line_says_what_was_expected(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert problem in capsys.readouterr().err


def test_missing_extra_is_one_line(checkpoint: Path) -> None:
    ended = _run_without_torch("serve", str(checkpoint))
    assert ended.returncode == 1
    assert ended.stderr == "headgate-inference: torch is not installed; run: pip install 'headgate[inference]'\n"


def test_help_needs_no_extra_and_names_every_option() -> None:
    ended = _run_without_torch("serve", "--help")
    assert ended.returncode == 0
    for option in ("MODEL_DIR", "--listen HOST:PORT", "--name", "--threads", "--max-waiting N", "--grace-s SECONDS"):
        assert option in ended.stdout


def _run_without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.modules['torch'] = None; from headgate.inference.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


def _only_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]
