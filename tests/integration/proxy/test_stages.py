"""The stage contract: every return type, every failure, by a plugin installed as anybody's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ...http_client import Answer, client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, Upstream, upstream

STAGES = ("auth", "route", "ratelimit", "request", "cache", "aggregate", "response_head", "event", "log")


@dataclass
class Stand:
    """A gateway with the probe on its route; t0 and t1 answer their names."""

    gate: RunningGateway
    notes: Path
    calls: list[Call]
    first: Upstream

    async def ask(self, *wishes: str, body: bytes | None = None) -> Answer:
        fields = [f"X-Probe-{wish.partition('=')[0]}: {wish.partition('=')[2]}" for wish in wishes]
        answer = await fetch(self.gate.port, "GET" if body is None else "POST", "/x", body, *fields)
        await self.gate.until(lambda: self.gate.log())
        return answer

    def seen(self, key: str) -> list[dict[str, Any]]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [entry for entry in map(json.loads, lines) if key in entry]


def install(folder: Path) -> None:
    (folder / "probe_plugin.py").write_text((Path(__file__).parent / "probe_plugin.py").read_text())
    info = folder / "probe_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headgate.plugins]\nprobe = probe_plugin:Probe\n")


@asynccontextmanager
async def stand(folder: Path) -> AsyncIterator[Stand]:
    install(folder)
    notes = folder / "notes"
    calls: list[Call] = []

    async def script(call: Call) -> None:
        calls.append(call)
        if "events" in call.fields("x-want"):
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            body = b"data: one\n\ndata: secret\n\ndata: two\n\n"
            for at in range(0, len(body), 7):  # cut anywhere
                piece = body[at : at + 7]
                await call.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await call.send(b"0\r\n\r\n")
        elif "cut" in call.fields("x-want"):
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            call.reset()
            raise ConnectionError
        elif "wait" in call.fields("x-want"):
            await call.gone()
            raise ConnectionError
        else:
            await call.answer(b"target " + call.body)

    async with upstream(script) as one, upstream(script) as two:
        config = plain(one.url, two.url)
        config["routes"][0]["targets"] = ["t0"]
        config["plugins"] = {"probe": {}}
        config["stages"] = {stage: ["probe"] for stage in STAGES}
        async with gateway(config, True, PYTHONPATH=str(folder), PROBE_FILE=str(notes)) as gate:
            yield Stand(gate, notes, calls, one)


def run(folder: Path, test: Callable[[Stand], Awaitable[None]]) -> None:
    async def main() -> None:
        async with stand(folder) as made:
            await test(made)

    asyncio.run(main())


CASES: dict[str, tuple[tuple[str, ...], int, str | None]] = {
    "all good": ((), 200, None),
    "nobody knows the credential": (("auth=none",), 401, "unauthenticated"),
    "auth rejects": (("auth=reject",), 403, "forbidden"),
    "auth raises: closed": (("auth=raise",), 500, "stage_failed"),
    "auth answers the wrong type: closed": (("auth=wrong",), 500, "stage_failed"),
    "route names an unknown cluster": (("route=unknown",), 500, "stage_failed"),
    "route gives a model that the identity may use": (("route=model",), 200, None),
    "route gives a model that it may not use": (("route=bad-model",), 404, "model_not_found"),
    "the limiter rejects": (("ratelimit=reject",), 429, "rate_limited"),
    "the limiter raises: closed": (("ratelimit=raise",), 503, "stage_unavailable"),
    "a request plugin rejects": (("request=reject",), 403, "forbidden"),
    "the cache raises: open": (("cache=raise",), 200, None),
    "the head plugin raises: open": (("head=raise",), 200, None),
    "the log plugin raises: nothing changes": (("log=raise",), 200, None),
}


@pytest.mark.timeout(120)
def test_what_each_answer_and_failure_of_a_stage_means(tmp_path: Path) -> None:
    async def test(made: Stand) -> None:
        for number, (name, (wishes, status, error)) in enumerate(CASES.items(), 1):
            answer = await made.ask(*wishes)
            assert answer.status == status, name
            if error is not None:
                assert answer.json()["type"] == f"urn:headgate:error:{error}", name
            await made.gate.until(lambda number=number: len(made.gate.log()) == number)  # type: ignore[misc]
            assert made.gate.log()[-1]["error"] == error, name
            assert [entry["log"] for entry in made.seen("log")][-1] == status, name
            assert len(made.seen("log")) == number, name
        # What was reserved is settled once, also where a later stage ended the exchange.
        settled = [(entry["settled"], entry["error"]) for entry in made.seen("settled")]
        reserved = [
            (status, error)
            for wishes, status, error in CASES.values()
            if not {"auth", "ratelimit"} & {wish.partition("=")[0] for wish in wishes}
            and error not in ("stage_failed", "model_not_found")
        ]
        assert settled == reserved

    run(tmp_path, test)


@pytest.mark.timeout(120)
def test_answers_of_the_stages_reach_client_and_target(tmp_path: Path) -> None:
    async def test(made: Stand) -> None:
        answer = await made.ask("auth=reject")
        assert (answer.field("x-why"), answer.json()["detail"]) == ("probe", "not you")
        assert answer.field("x-probe") == "seen"  # own errors pass the response-head stage, too
        assert (await made.ask("ratelimit=reject")).field("retry-after") == "7"
        assert (await made.ask()).field("ratelimit") == "probe"
        assert (await made.ask("route=second")).field("x-headgate-target") == "t1"
        edited = await made.ask("request=edit")
        assert edited.body == b"target edited body"
        assert made.calls[-1].fields("x-edited") == ["yes"]
        hit = await made.ask("cache=hit")
        assert (hit.body, hit.field("x-headgate-cache")) == (b"from the cache", "hit")
        assert (await made.ask("aggregate=own")).body == b"my own"
        called = await made.ask("aggregate=call", body=b"asked")
        assert (called.body, called.field("x-called")) == (b"target asked", "t1")

    run(tmp_path, test)


@pytest.mark.timeout(120)
def test_a_store_is_committed_once_for_a_whole_answer_and_discarded_otherwise(tmp_path: Path) -> None:
    async def test(made: Stand) -> None:
        await made.ask("cache=miss")
        await made.ask("cache=unwanted")
        cut = await fetch(made.gate.port, "GET", "/", None, "X-Probe-Cache: miss", "X-Want: cut")
        assert not cut.is_whole
        await made.ask("cache=miss", "aggregate=own")
        async with client(made.gate.port) as leaving:
            await leaving.send("GET", "/", None, "X-Probe-Cache: miss", "X-Want: wait")
            await made.first.until(lambda: any("wait" in call.fields("x-want") for call in made.first.calls))
        await made.gate.until(lambda: len(made.gate.log()) == 5)
        stored = [(entry["store"], entry["body"]) for entry in made.seen("store")]
        assert stored == [
            ("commit", "target "),
            ("discard", ""),
            ("discard", "half"),
            ("commit", "my own"),
            ("discard", ""),
        ]
        settled = made.seen("settled")
        assert len(settled) == 5
        assert settled[-1] == {"settled": 0, "error": "client_gone", "gone": True}

    run(tmp_path, test)


@pytest.mark.timeout(120)
def test_events_are_edited_whole_however_they_were_cut(tmp_path: Path) -> None:
    async def test(made: Stand) -> None:
        async def events(wish: str) -> bytes:
            answer = await fetch(made.gate.port, "GET", "/", None, "X-Want: events", f"X-Probe-Event: {wish}")
            assert answer.is_whole
            return answer.body

        assert await events("") == b"data: one\n\ndata: secret\n\ndata: two\n\n"
        assert await events("upper") == b"data: >one\n\ndata: >secret\n\ndata: >two\n\n"
        assert await events("drop") == b"data: one\n\ndata: two\n\n"

    run(tmp_path, test)


@pytest.mark.timeout(120)
def test_a_call_that_a_plugin_forgot_is_closed_and_a_slow_plugin_ends_with_its_client(tmp_path: Path) -> None:
    async def test(made: Stand) -> None:
        assert (await made.ask("aggregate=leak")).body == b"leaked"
        async with client(made.gate.port) as leaving:
            await leaving.send("GET", "/", None, "X-Probe-Aggregate: slow")
        await made.gate.until(lambda: len(made.gate.log()) == 2)
        assert made.gate.log()[1]["error"] == "client_gone"
        assert len(made.seen("log")) == 2

    run(tmp_path, test)
