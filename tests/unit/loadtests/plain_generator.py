"""Stands in for the generator: the same files and words, a request every tenth of a second, without Locust."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path
from select import select

from bench.governed import key
from loadtests import records
from loadtests.answers import Answer, is_whole_completion, outcome
from loadtests.crowd import parse
from loadtests.records import Record

INTERVAL_S = 0.1


def wait(seconds: float) -> None:
    select([], [], [], max(seconds, 0.0))


def main() -> None:
    load_path, begin_path, records_path = map(Path, sys.argv[1:])
    load = parse(json.loads(load_path.read_text()))
    print("ready", flush=True)
    for _ in range(2000):
        if begin_path.exists():
            break
        wait(0.01)
    begin_s = float(begin_path.read_text())
    found = []
    for number in range(round(load.seconds / INTERVAL_S)):
        due_s = number * INTERVAL_S
        wait(begin_s + due_s - time.monotonic())
        body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hi"}]}).encode()
        fields = {"Authorization": f"Bearer {key(1)}", "Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{load.url}/v1/chat/completions", body, fields)
        ) as response:
            text = response.read()
            answer = Answer(True, response.status, response.headers["x-headgate-target"])
        answer.is_whole = is_whole_completion(text)
        took_s = time.monotonic() - begin_s - due_s
        values = (answer.status, outcome(answer), answer.target, "", 0, len(text))
        found.append(Record("chat", "k001", "127.0.0.1", due_s, 0.0, took_s, took_s, *values))
    part = records_path.with_suffix(".part")
    with part.open("wb") as file:
        records.write(found, file)
    part.rename(records_path)


main()
