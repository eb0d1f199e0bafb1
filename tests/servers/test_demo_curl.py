"""The curl line that the demo prints, through a shell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..integration.demo.running_demo import Demo, demo


@pytest.fixture(scope="module")
def running() -> Iterator[Demo]:
    with demo() as started:
        yield started


def shell(command: str, folder: Path) -> str:
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=40)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_printed_line_works_as_pasted(running: Demo, tmp_path: Path) -> None:
    answer: Any = json.loads(shell(running.curl_command(), tmp_path))
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert len(answer["choices"][0]["message"]["content"].split()) > 3


def test_with_i_it_shows_who_answered(running: Demo, tmp_path: Path) -> None:
    printed = shell(running.curl_command().replace("curl ", "curl -i ", 1), tmp_path).lower()
    assert printed.startswith("http/1.1 200 ok\n")
    assert "\nx-headgate-target: heavy/heavy\n" in printed


def test_streamed_it_gives_events(running: Demo, tmp_path: Path) -> None:
    streamed = shell(
        running.curl_command().replace('{"model"', '{"stream": true, "model"').replace("curl", "curl -N"), tmp_path
    )
    whole: Any = json.loads(shell(running.curl_command(), tmp_path))
    *events, last = [line.removeprefix("data: ") for line in streamed.splitlines() if line.startswith("data: ")]
    assert last == "[DONE]"
    text = "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events)
    assert text == whole["choices"][0]["message"]["content"]
