"""`mirror` in a gateway that serves: what copies hold, and that exchanges do not know of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from headgate.proxy.buckets import num_buckets, place_of

from ...http_client import Answer, client, fetch
from ...running import WAYS, RunningGateway, gateway
from ...upstream import Call, Script, Upstream, upstream

BOTH_WAYS = pytest.mark.parametrize("way", ["lane", "reference"])
BODY = b'{"n": 1}'


async def ok(call: Call) -> None:
    await call.answer(b"fine", "200 OK", "X-From: target")


async def other(call: Call) -> None:
    await call.answer(b"else", "201 Created")


async def stall(call: Call) -> None:
    await call.gone()
    raise ConnectionError("left")


async def reset(call: Call) -> None:
    call.reset()
    raise ConnectionError("reset")


async def cut(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    call.reset()
    raise ConnectionError("reset")


async def drip(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not call.writer.is_closing():
            await call.send(b"x")
            await asyncio.sleep(0.01)
    raise ConnectionError("left")


async def flood(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not call.writer.is_closing():
            await call.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")
    raise ConnectionError("left")


async def garbage(call: Call) -> None:
    await call.send(b"\0\1\2 no HTTP\r\n\r\n")


@dataclass
class Stand:
    """A gateway with a target, and a mirror beside it."""

    gate: RunningGateway
    target: Upstream
    mirror: Upstream

    async def ask(self, *fields: str, body: bytes | None = BODY, path: str = "/x?y=1") -> Answer:
        return await fetch(self.gate.port, "POST" if body is not None else "GET", path, body, *fields)

    async def reload(self, settings: dict[str, Any]) -> None:
        self.gate.write(config(self.target.url, self.mirror.url, settings))
        await fetch(self.gate.admin_port, "POST", "/reload", b"", "Authorization: Bearer token")

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        answer = await fetch(self.gate.admin_port, "GET", "/metrics", None, "Authorization: Bearer token")
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}\S* (\S+)$", answer.body.decode(), re.M))

    async def until_counted(self, name: str, number: float) -> None:
        """Wait until a metric has come to `number`."""
        async with asyncio.timeout(10):
            while await self.metric(name) < number:  # noqa: ASYNC110 - each look is an exchange with the gateway
                await asyncio.sleep(0.01)


def config(target: str, mirror: str, settings: dict[str, Any], **route: Any) -> dict[str, Any]:
    route = {"stages": {"log": ["mirror"], "cache": ["mirror"]}, **route}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN", "hosts": ["gate.test"]},
        "drain": "5s",
        "clusters": {"target": {"endpoints": [target]}},
        "plugins": {"mirror": {"to": {"endpoints": [mirror]}, **settings}, "rate_limit": {"rate": "100/h"}},
        "routes": [
            {"name": "plain", "match": {"path": "/plain"}, "targets": ["target"]},
            {"name": "all", "match": {"path": "/{*rest}"}, "targets": ["target"], **route},
        ],
    }


@contextlib.asynccontextmanager
async def serving(
    way: str, script: Script = ok, route: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Stand]:
    environment: dict[str, Any] = {"TOKEN": "token", **WAYS[way]}
    async with (
        upstream(ok) as target,
        upstream(script) as mirror,
        gateway(config(target.url, mirror.url, settings, **(route or {})), **environment) as gate,
    ):
        yield Stand(gate, target, mirror)


def outcome(name: str) -> str:
    return f'headgate_mirror_requests_total{{plugin="mirror",outcome="{name}"}}'


SENT = ("Accept: a/b", "Authorization: Bearer secret", "Cookie: a=secret", "X-Team: red")


@BOTH_WAYS
def test_a_copy_is_what_the_target_got_but_for_credentials(way: str) -> None:
    async def main() -> None:
        async with serving(way) as stand:
            answer = await stand.ask(*SENT)
            assert (answer.status, answer.body, answer.field("x-headgate-cache")) == (200, b"fine", None)
            await stand.mirror.until(lambda: stand.mirror.calls)
            (copy,), (call,) = stand.mirror.calls, stand.target.calls
            assert (copy.line, copy.body) == (call.line, call.body) == ("POST /x?y=1 HTTP/1.1", BODY)
            for name in ("accept", "x-team", "x-request-id", "traceparent", "x-forwarded-for", "via", "content-length"):
                assert copy.fields(name) == call.fields(name) != [], name
            assert (copy.fields("x-headgate-mirror"), call.fields("x-headgate-mirror")) == (["1"], [])
            assert call.fields("authorization") == ["Bearer secret"]
            assert copy.fields("host") == [stand.mirror.url.removeprefix("http://")]
            assert b"secret" not in copy.head
            await stand.until_counted(outcome("answered"), 1)
            assert await stand.metric("headgate_mirror_duration_seconds_count") == 1
            assert (await stand.metric('headgate_served_total{way="reference"}') > 0) is (way == "reference")

    asyncio.run(main())


@BOTH_WAYS
def test_credentials_go_on_where_it_is_said(way: str) -> None:
    async def main() -> None:
        async with serving(way, credentials=True) as stand:
            await stand.ask(*SENT)
            await stand.mirror.until(lambda: stand.mirror.calls)
            assert stand.mirror.calls[0].fields("cookie") == ["a=secret"]

    asyncio.run(main())


def test_the_mirror_has_credential_and_fields_of_its_own() -> None:
    async def main() -> None:
        async with serving("lane") as stand:
            edits = {"set": {"x-team": "shadow"}, "remove": ["accept"]}
            to = {"endpoints": [stand.mirror.url], "credential": "env:TOKEN", "headers": edits}
            await stand.reload({"to": to})
            await stand.ask(*SENT)
            await stand.mirror.until(lambda: stand.mirror.calls)
            copy = stand.mirror.calls[0]
            assert [copy.fields(name) for name in ("authorization", "x-team", "accept")] == [
                ["Bearer token"],
                ["shadow"],
                [],
            ]

    asyncio.run(main())


FAULTS = {
    "stalls": (stall, "deadline"),
    "resets": (reset, "reset"),
    "cuts": (cut, "truncated"),
    "drips": (drip, "deadline"),
    "floods": (flood, "answer_too_large"),
    "is no HTTP": (garbage, "malformed_answer"),
}


@BOTH_WAYS
@pytest.mark.parametrize("fault", FAULTS)
def test_a_mirror_that_fails_costs_the_client_nothing(way: str, fault: str) -> None:
    """Every answer is there as it should be, and whoever was copied first has waited for no copy."""
    script, how = FAULTS[fault]

    async def main() -> None:
        async with (
            serving(way, script, timeout="1s", max_answer="64KiB", max_parallel=2) as stand,
            client(stand.gate.port) as one,
        ):
            for _ in range(20):
                answer = await one.request("POST", "/x", BODY, "X-Team: red")
                seen = (answer.status, answer.body, answer.field("x-from"), answer.is_whole)
                assert seen == (200, b"fine", "target", True)
            await stand.until_counted("headgate_mirror_requests_total", 20)
            assert await stand.metric(outcome(how)) > 0
            assert await stand.metric(outcome("answered")) == 0
            assert await stand.metric("headgate_mirror_held_bytes") == 0
            await stand.gate.until(lambda: len(stand.gate.log()) == 20)
            assert {(line["status"], line["error"], line["attempts"]) for line in stand.gate.log()} == {(200, None, 1)}

    asyncio.run(main())


@BOTH_WAYS
def test_a_mirror_that_refuses_costs_the_client_nothing(way: str) -> None:
    async def main() -> None:
        async with serving(way) as stand:
            await stand.reload({"to": {"endpoints": ["http://127.0.0.1:1"]}})
            answers = [await stand.ask() for _ in range(5)]
            assert {(answer.status, answer.body) for answer in answers} == {(200, b"fine")}
            await stand.until_counted(outcome("connect_failed"), 5)

    asyncio.run(main())


@BOTH_WAYS
def test_answers_come_while_no_copy_was_answered(way: str) -> None:
    """No answer waits for a copy: the mirror answers the first one only after the client has all its answers."""
    has_all = asyncio.Event()

    async def late(call: Call) -> None:
        await has_all.wait()
        await call.answer()

    async def main() -> None:
        async with serving(way, late, max_parallel=1) as stand:
            for _ in range(10):
                assert (await stand.ask()).body == b"fine"
            await stand.mirror.until(lambda: stand.mirror.calls)
            assert len(stand.mirror.calls) == 1  # one at once; the others wait
            has_all.set()
            await stand.until_counted(outcome("answered"), 10)

    asyncio.run(main())


@BOTH_WAYS
def test_what_is_held_is_bounded(way: str) -> None:
    async def main() -> None:
        async with serving(way, stall, max_held="64KiB", max_body="32KiB", timeout="60s") as stand:
            for _ in range(10):
                assert (await stand.ask(body=bytes(20_000))).status == 200
                assert await stand.metric("headgate_mirror_held_bytes") <= 64 << 10
            assert await stand.metric(outcome("no_room")) == 8
            assert (await stand.ask(body=bytes(40_000))).status == 200
            assert await stand.metric(outcome("body_too_large")) == 1

    asyncio.run(main())


@BOTH_WAYS
def test_a_body_that_was_streamed_is_not_copied(way: str) -> None:
    async def main() -> None:
        async with serving(way, route={"replay_buffer": "1KiB"}) as stand:
            assert (await stand.ask(body=bytes(5_000))).status == 200
            await stand.until_counted(outcome("body_not_kept"), 1)
            assert stand.mirror.calls == []

    asyncio.run(main())


@BOTH_WAYS
def test_copies_are_billed_to_nobody(way: str) -> None:
    async def main() -> None:
        stages = {"log": ["mirror"], "ratelimit": ["rate_limit"]}
        async with serving(way, route={"stages": stages}) as stand:
            left = [(await stand.ask()).field("ratelimit") for _ in range(3)]
            assert [re.findall("r=([0-9]+)", text or "") for text in left] == [["99"], ["98"], ["97"]]
            await stand.until_counted(outcome("answered"), 3)
            assert await stand.metric("headgate_attempts_total") == 3
            await stand.gate.until(lambda: len(stand.gate.log()) >= 3)
            assert {line["target"] for line in stand.gate.log()} == {"target"}
            assert len(stand.gate.log()) == 3

    asyncio.run(main())


@BOTH_WAYS
def test_a_share_of_the_callers_is_copied(way: str) -> None:
    users = [f"user-{number}" for number in range(40)]
    drawn = {user for user in users if place_of("mirror", user.encode()).bucket < num_buckets(30)}

    async def main() -> None:
        async with serving(way, share=30, by="field:x-user") as stand:
            for user in users:
                await stand.ask(f"X-User: {user}")
            await stand.until_counted(outcome("answered"), len(drawn))
            assert {copy.fields("x-user")[0] for copy in stand.mirror.calls} == drawn
            await stand.ask("X-User: " + next(iter(drawn)), path="/plain")
            assert len(stand.mirror.calls) == len(drawn)

    asyncio.run(main())


@BOTH_WAYS
@pytest.mark.parametrize(("script", "result"), [(ok, "same"), (other, "different")])
def test_answers_are_compared(way: str, script: Script, result: str) -> None:
    async def main() -> None:
        async with serving(way, script, compare="body") as stand:
            answer = await stand.ask()
            assert (answer.body, answer.field("x-headgate-cache")) == (b"fine", None)
            for part in ("status", "body"):
                compared = f'headgate_mirror_compared_total{{plugin="mirror",part="{part}",result="{result}"}}'
                await stand.until_counted(compared, 1)

    asyncio.run(main())


@BOTH_WAYS
def test_a_drain_ends_copies_that_are_under_way(way: str) -> None:
    async def main() -> None:
        async with serving(way, stall, timeout="1h") as stand:
            assert (await stand.ask()).status == 200
            await stand.mirror.until(lambda: stand.mirror.calls)
            stand.gate.signal(signal.SIGTERM)
            async with asyncio.timeout(10):  # below the drain's own end with what is cut
                await stand.gate.process.wait()
            assert stand.gate.process.returncode == 0

    asyncio.run(main())


@BOTH_WAYS
def test_a_copy_asks_for_the_model_that_the_mirror_knows(way: str) -> None:
    async def main() -> None:
        async with upstream(ok) as target, upstream(ok) as mirror:
            made = config(target.url, mirror.url, {}, kind="inference")
            made["plugins"]["mirror"]["to"]["model"] = "shadow"
            environment = WAYS[way]
            async with gateway(made, TOKEN="token", **environment) as gate:
                await fetch(gate.port, "POST", "/v1/chat/completions", b'{"model": "m", "x": 1.0}')
                await mirror.until(lambda: mirror.calls)
                assert mirror.calls[0].body == b'{"model": "shadow", "x": 1.0}'
                assert target.calls[0].body == b'{"model": "m", "x": 1.0}'

    asyncio.run(main())
