"""What stages, clients and drains make of an answer that the lane passes on: the same as without it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ...black_hole import black_hole
from ...http_client import Answer, Client, client
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, upstream
from .completions import PATH, begin, chunks, event, events

PIECE = b"3\r\nabc\r\n"


async def script(call: Call) -> None:
    if "/slow" in call.line:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + PIECE)
        await call.gone()
        raise ConnectionError
    if "/large" in call.line:
        await call.answer(b"x" * (48 << 20))
        return
    if "/early" in call.line:
        await call.send(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")
    await call.answer(b"hello", "200 OK", "Cache-Control: max-age=60")


def install(folder: Path) -> None:
    (folder / "shaper_plugin.py").write_text((Path(__file__).parent / "shaper_plugin.py").read_text())
    info = folder / "shaper_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shaper-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headgate.plugins]\nshaper = shaper_plugin:Shaper\n")


@asynccontextmanager
async def warm(config: dict[str, Any], folder: Path | None = None) -> AsyncIterator[tuple[RunningGateway, Client]]:
    """Run a gateway with a connection to its target, and one of a client."""
    started = gateway(config) if folder is None else gateway(config, True, PYTHONPATH=str(folder))
    async with started as gate, client(gate.port) as connected:
        await connected.send("GET", "/warm")
        await connected.answer()
        yield gate, connected


def shaped(folder: Path, *fields: str) -> Answer:
    """Ask once, with the plugin on the route."""

    async def main() -> Answer:
        async with upstream(script) as one:
            config = plain(one.url)
            config["plugins"] = {"shaper": {}}
            config["stages"] = {"ratelimit": ["shaper"], "response_head": ["shaper"]}
            async with warm(config, folder) as (_, connected):
                await connected.send("GET", "/x", None, *fields)
                return await connected.answer()

    install(folder)
    return asyncio.run(main())


def test_a_stage_sees_a_body_that_is_to_come(tmp_path: Path) -> None:
    assert shaped(tmp_path).field("x-has-bytes") == "False"


def test_a_stage_may_put_another_body_in_its_place(tmp_path: Path) -> None:
    answer = shaped(tmp_path, "X-Shape: other")
    assert (answer.body, answer.field("content-length")) == (b"other", "5")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(tmp_path: Path, status: int) -> None:
    async def main() -> tuple[int, bytes, int]:
        async with upstream(script) as one:
            config = plain(one.url)
            config["plugins"] = {"shaper": {}}
            config["stages"] = {"response_head": ["shaper"]}
            async with warm(config, tmp_path) as (_, connected):
                await connected.send("GET", "/x", None, f"X-Shape: {status}")
                first, head = await connected.head()
                await connected.send("GET", "/x")
                second, _ = await connected.head()
                return first, head, second

    install(tmp_path)
    first, head, second = asyncio.run(main())
    assert (first, second) == (status, 200)
    assert status != 204 or b"content-length" not in head.lower()


@pytest.mark.parametrize("value", ["a|Injected: 1", "never"])
def test_a_field_that_is_none_is_a_failure_of_its_plugin(tmp_path: Path, value: str) -> None:
    async def main() -> tuple[int, dict[str, Any]]:
        async with upstream(script) as one:
            config = plain(one.url)
            config["plugins"] = {"shaper": {}}
            config["stages"] = {"ratelimit": ["shaper"]}
            async with warm(config, tmp_path) as (gate, connected):
                await connected.send("GET", "/x", None, f"X-Reserve: {value}")
                answer = await connected.answer()
                assert answer.field("x-r") is answer.field("injected") is None
                await gate.until(lambda: len(gate.log()) == 2)
                return answer.status, gate.log()[1]

    install(tmp_path)
    status, line = asyncio.run(main())
    assert (status, line["error"]) == (503, "stage_unavailable")
    assert line["detail"].startswith("plugin shaper: ")


def test_what_the_lane_passes_on_is_stored() -> None:
    async def main() -> int:
        async with upstream(script) as one:
            config = plain(one.url)
            config["plugins"] = {"cache": {}}
            config["stages"] = {"cache": ["cache"]}
            async with warm(config) as (_, connected):
                for _ in range(3):
                    await connected.send("GET", "/stored")
                    assert (await connected.answer()).body == b"hello"
                return len([call for call in one.calls if "/stored" in call.line])

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("connection", ["keep-alive", "keep-alive, x-tenant", "X-Tenant", "close, x-tenant"])
def test_a_client_takes_nothing_away_that_the_route_sets(connection: str) -> None:
    async def main() -> list[str]:
        async with upstream(script) as one:
            config = plain(one.url)
            config["routes"][0]["request_headers"] = {"set": {"x-tenant": "trusted"}}
            async with warm(config) as (_, connected):
                await connected.send("GET", "/x", None, "X-Tenant: forged", f"Connection: {connection}")
                await connected.answer()
                return one.calls[1].fields("x-tenant")

    assert asyncio.run(main()) == ["trusted"]


def test_interim_answers_are_passed_on() -> None:
    async def main() -> bytes:
        async with upstream(script) as one, warm(plain(one.url)) as (_, connected):
            await connected.send("GET", "/early")
            return await connected.reader.readuntil(b"\r\n\r\n")

    assert asyncio.run(main()).startswith(b"HTTP/1.1 103 Early Hints\r\nLink: <a>")


def test_what_a_trusted_proxy_says_of_the_host_decides_the_route() -> None:
    async def main() -> list[str]:
        async with upstream(script) as one:
            config = plain(one.url)
            config["listeners"][0]["trusted_proxies"] = ["127.0.0.0/8"]
            route = config["routes"][0]
            config["routes"].insert(0, {**route, "name": "inner", "match": {**route["match"], "hosts": ["admin.test"]}})
            async with warm(config) as (gate, connected):
                await connected.send("GET", "/x", None, "X-Forwarded-Host: admin.test")
                await connected.answer()
                await gate.until(lambda: len(gate.log()) == 2)
                return [line["route"] for line in gate.log()]

    assert asyncio.run(main())[1] == "inner"


def test_a_client_that_pauses_is_no_silent_target() -> None:
    async def main() -> tuple[Answer, dict[str, Any]]:
        async with upstream(script) as one:
            config = plain(one.url)
            config["clusters"]["t0"]["timeouts"] = {"idle": "1s"}
            async with warm(config) as (gate, connected):
                await connected.send("GET", "/large")
                await connected.reader.readuntil(b"\r\n")
                await asyncio.sleep(2.5)  # what the client does: it pauses
                rest = await connected.reader.readuntil(b"\r\n\r\n")
                body = await connected.reader.readexactly(48 << 20)
                await gate.until(lambda: len(gate.log()) == 2)
                return Answer(200, rest, body, True), gate.log()[1]

    answer, line = asyncio.run(main())
    assert len(answer.body) == 48 << 20
    assert (line["error"], line["failures"]) == (None, [])


def test_a_drain_cuts_an_answer_so_that_it_can_be_seen() -> None:
    async def main() -> dict[str, Any]:
        async with upstream(script) as one:
            config = plain(one.url)
            config["drain"] = "200ms"
            async with warm(config) as (gate, connected):
                await connected.send("GET", "/slow")
                await connected.reader.readuntil(PIECE)
                gate.signal(signal.SIGTERM)
                with pytest.raises(ConnectionError):
                    while await connected.reader.read(1000):
                        pass
                await gate.until(lambda: len(gate.log()) == 2)
                return gate.log()[1]

    line = asyncio.run(main())
    assert (line["status"], line["error"]) == (200, "draining")


@pytest.mark.parametrize("body", [b"{", b"{%98b}" % b""])
def test_a_drain_lets_the_answer_reach_its_client_that_it_gives_at_last(body: bytes) -> None:
    async def main() -> tuple[Answer, bytes, dict[str, Any]]:
        async with upstream(script) as one:
            config = plain(one.url, f"http://127.0.0.1:{silent}")
            [both] = config["routes"]
            silent_one = {"name": "silent", "match": {"path": "/x"}, "targets": ["t1"], "read_model": True}
            config["routes"], config["drain"] = [{**both, "targets": ["t0"]}, silent_one], "200ms"
            async with warm(config) as (gate, connected):
                request = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + body
                connected.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + request)
                await connected.answer()  # behind it the gateway has begun with the other one
                gate.signal(signal.SIGTERM)
                answer = await connected.answer()
                rest = await asyncio.wait_for(connected.reader.read(), 10)  # ended, and not by a reset
                await gate.until(lambda: len(gate.log()) == 3)
                return answer, rest, gate.log()[2]

    with black_hole() as silent:
        answer, rest, line = asyncio.run(main())
    assert (answer.status, answer.is_whole, rest) == (503, True, b"")
    assert line["error"] == "draining"


def test_a_whole_stream_ends_however_much_follows_it() -> None:
    async def follow(call: Call) -> None:
        await begin(call)
        await chunks(call, events())
        while True:  # until the gateway closes the connection
            await chunks(call, [event(9, "more")])
            await asyncio.sleep(0.05)  # what the target does: it takes its time

    async def main() -> tuple[bytes, float]:
        async with (
            upstream(lambda call: follow(call) if PATH in call.line else call.answer(b"")) as one,
            warm(plain(one.url, kind="inference", read_model=False)) as (_, connected),
        ):
            await connected.send("POST", PATH, b"{}")
            begun_at = time.monotonic()
            body = await connected.reader.readuntil(b"0\r\n\r\n")
            return body, time.monotonic() - begun_at

    body, took_s = asyncio.run(main())
    assert body.count(b"[DONE]") == 1
    assert took_s < 5


def test_a_body_that_drips_does_not_outlast_the_deadline() -> None:
    async def main() -> tuple[int, float]:
        async with upstream(script) as one:
            config = plain(one.url)
            config["routes"][0]["read_model"] = True
            async with warm(config) as (_, connected):
                begun_at = time.monotonic()
                connected.writer.write(
                    b"POST /x HTTP/1.1\r\nHost: a\r\nX-Headgate-Deadline-Ms: 300\r\nContent-Length: 100\r\n\r\n{"
                )
                status, _ = await connected.head()
                return status, time.monotonic() - begun_at

    status, took_s = asyncio.run(main())
    assert status == 504
    assert took_s < 5


@pytest.mark.parametrize("body", [b"data: {no json\n\n", b'event: error\ndata: {"error": {"message": "busy"}}\n\n'])
def test_a_stream_that_breaks_with_its_head_is_answered_with_an_error_of_its_own(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def broken(call: Call) -> None:
        await call.send(head + b"%x\r\n%b\r\n" % (len(body), body))  # in one write: nothing of the head has left
        await call.gone()
        raise ConnectionError

    async def main() -> tuple[Answer, dict[str, Any]]:
        async with (
            upstream(lambda call: broken(call) if PATH in call.line else call.answer(b"")) as one,
            warm(plain(one.url, kind="inference", read_model=False, commit="head")) as (gate, connected),
        ):
            await connected.send("POST", PATH, b"{}")
            answer = await connected.answer()
            await gate.until(lambda: len(gate.log()) == 2)
            return answer, gate.log()[1]

    answer, line = asyncio.run(main())
    assert (answer.status, answer.is_whole, line["status"]) == (502, True, 502)
    assert answer.json()["error"]["code"] == line["error"]
