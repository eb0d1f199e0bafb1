"""The page on the fault upstream says what it does, and what can be pasted from it works."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from headgate.proxy.faults.catalogue import KINDS, SHARED
from headgate.proxy.faults.journal import MAX_REQUESTS

from ...http_client import Answer, fetch
from ...meta.pages import blocks, rows, text_of
from ...running import gateway
from .fault_process import FaultProcess, fault_process
from .test_command import command

PAGE = text_of("docs/fault-upstream.md")
PROGRAM = "headgate"


def lines(start: str) -> list[list[str]]:
    """Return the words of every line of a shell listing that begins so."""
    found = [line for block in blocks(PAGE) if block.language == "sh" for line in block.text.split("\n")]
    return [shlex.split(line) for line in found if line.startswith(start)]


def request_of(words: list[str]) -> tuple[str, str, str, list[str], bytes | None]:
    """Return method, port, path, fields and body of a line with curl."""
    method, url, fields, body = "", "", list[str](), None
    waiting = iter(words[1:])
    for word in waiting:
        if word == "-X":
            method = next(waiting)
        elif word == "-H":
            fields.append(next(waiting))
        elif word == "-d":
            body = next(waiting).encode()
        elif word.startswith("http://127.0.0.1:"):
            url = word.removeprefix("http://127.0.0.1:")
        else:
            assert word in ("-sS", "-isS"), words
    port, slash, path = url.partition("/")
    return method or ("GET" if body is None else "POST"), port, slash + path, fields, body


@contextlib.contextmanager
def started(words: list[str]) -> Iterator[FaultProcess]:
    """Run a line that starts the upstream, on a free port."""
    assert words[:2] == [PROGRAM, "fault-upstream"]
    arguments = [word for word in words[2:] if word != "&"]
    if "--listen" in arguments:
        at = arguments.index("--listen")
        del arguments[at : at + 2]
    with fault_process(*arguments) as faults:
        yield faults


def ask(port: int, words: list[str]) -> Answer:
    method, _, path, fields, body = request_of(words)
    return asyncio.run(fetch(port, method, path, body, *fields))


def test_the_table_of_faults_is_the_catalogue() -> None:
    table = [[cell.replace("\\|", "|") for cell in row] for row in rows(PAGE, "spec")]
    assert table == [[kind.form, kind.sentence] for kind in KINDS.values()]
    assert [row[0].partition("=")[0] for row in rows(PAGE, "key")] == list(SHARED)


def test_the_table_of_options_is_complete() -> None:
    shown = {row[0].split()[0] for row in rows(PAGE, "option")}
    offered = {word.strip("[],") for word in command("--help").stdout.split() if word.strip("[],").startswith("--")}
    assert shown | {"--listen", "--help"} == offered


def test_the_table_of_members_is_what_is_told() -> None:
    shown = {name for row in rows(PAGE, "member") for name in row[0].split(", ")}
    with fault_process() as faults:
        faults.ask("GET", "/health")
        assert shown == set(faults.requests()[0])
    assert f"{MAX_REQUESTS:,} requests" in PAGE


@pytest.mark.parametrize("words", lines(f"{PROGRAM} fault-upstream"), ids=" ".join)
def test_every_line_that_starts_it_does(words: list[str]) -> None:
    with started(words) as faults:
        assert faults.call("GET", "/health")["status"] == "ok"


def test_the_first_example() -> None:
    (first, *_), (asked, *_) = lines(f"{PROGRAM} fault-upstream"), lines("curl")
    with started(first) as faults:
        cut, whole = ask(faults.port, asked), ask(faults.port, asked)
        assert faults.requests()[0]["tokens"] == 3
    assert (cut.is_whole, whole.is_whole) == (False, True)
    assert cut.body.count(b"data: ") == 4 and whole.body.endswith(b"data: [DONE]\n\n")


def test_every_call_of_the_upstream_works() -> None:
    with fault_process() as faults:
        asked = [words for words in lines("curl") if request_of(words)[1] == "9009"]
        statuses = [ask(faults.port, words).status for words in asked]
    assert statuses == [418 if any("418" in word for word in words) else 200 for words in asked]
    assert len(asked) >= 6


def test_the_example_behind_a_gateway() -> None:
    """The late tier is left, the other answers, and the late one saw how long it was waited for."""
    (config,) = (block.text for block in blocks(PAGE) if block.language == "yaml")
    heavy_line, lite_line = lines(f"{PROGRAM} fault-upstream")[-2:]
    (asked,) = (words for words in lines("curl") if request_of(words)[1] == "8080")

    async def main(heavy: FaultProcess, lite: FaultProcess) -> Answer:
        text = config.replace(":9009", f":{heavy.port}").replace(":9010", f":{lite.port}").replace(":8080", ":0")
        async with gateway(text) as gate:
            method, _, path, fields, body = request_of(asked)
            return await fetch(gate.port, method, path, body, *fields)

    with started(heavy_line) as heavy, started(lite_line) as lite:
        answer = asyncio.run(main(heavy, lite))
        seen: dict[str, Any] = heavy.until(lambda seen: seen[0]["end"])[0]
        assert [each["fault"] for each in lite.requests()] == [None]
    assert (answer.status, answer.is_whole, answer.field("x-headgate-target")) == (200, True, "lite/lite")
    assert json.loads(answer.body.split(b"\n\n")[0].removeprefix(b"data: "))["model"] == "lite"
    assert (seen["fault"], seen["tokens"], seen["done"]) == ("late_token:30s,at=heavy", 0, "peer left")
    assert 1 <= seen["end_s"] - seen["at_s"] < 5
