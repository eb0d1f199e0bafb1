"""Stages whose `def` hooks wait for some requests: in the lane and on the reference path."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ...http_client import Answer, Client, client
from ...running import WAYS, RunningGateway, gateway, plain
from ...upstream import Call, Upstream, raw_server, upstream

BODY = b'{"model": "m", "rest": "' + b"x" * 300_000 + b'"}'


@dataclass
class Teller:
    """Answers the plugin's questions once the test says what."""

    asked: asyncio.Queue[asyncio.StreamWriter] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await self.asked.put(writer)
        await reader.read()

    async def question(self) -> asyncio.StreamWriter:
        async with asyncio.timeout(10):
            return await self.asked.get()

    async def tell(self, word: str) -> None:
        (await self.question()).write(f"{word}\n".encode())


@dataclass
class Stand:
    gate: RunningGateway
    teller: Teller
    served: Upstream

    async def logged(self, number: int) -> list[tuple[int, str | None]]:
        """The status and error of every exchange, once there are so many."""
        await self.gate.until(lambda: len(self.gate.log()) >= number)
        return [(line["status"], line["error"]) for line in self.gate.log()]


def install(folder: Path) -> None:
    (folder / "waiter_plugin.py").write_text((Path(__file__).parent / "waiter_plugin.py").read_text())
    info = folder / "waiter_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: waiter-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headgate.plugins]\nwaiter = waiter_plugin:Waiter\n")


async def echo(call: Call) -> None:
    await call.answer(b"%d %s" % (len(call.body), b",".join(told.encode() for told in call.fields("x-told"))))


@contextlib.asynccontextmanager
async def stand(folder: Path, has_lane: bool) -> AsyncIterator[Stand]:
    install(folder)
    teller = Teller()
    async with raw_server(teller.serve) as port, upstream(echo) as served:
        config = plain(served.url, read_model=True, deadline="20s")
        config["plugins"] = {"waiter": {}}
        config["stages"] = {"auth": ["waiter"], "request": ["waiter"]}
        way = WAYS["lane" if has_lane else "reference"]
        environment = {"PYTHONPATH": str(folder), "TELLER": str(port), **way}
        async with gateway(config, True, False, **environment) as gate:
            yield Stand(gate, teller, served)


@pytest.fixture(params=[True, False], ids=["lane", "reference"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[Stand], Awaitable[None]]], None]:
    def run_it(test: Callable[[Stand], Awaitable[None]]) -> None:
        async def main() -> None:
            async with stand(tmp_path, request.param) as made:
                await test(made)

        asyncio.run(main())

    return run_it


Run = Callable[[Callable[[Stand], Awaitable[None]]], None]


async def send_head(connected: Client, wait: str, *fields: str) -> None:
    lines = ["POST /x HTTP/1.1", "Host: gate.test", f"Content-Length: {len(BODY)}", f"X-Wait: {wait}", *fields]
    connected.writer.write("\r\n".join([*lines, "", ""]).encode())
    await connected.writer.drain()


async def send_body(connected: Client) -> None:
    connected.writer.write(BODY)
    await connected.writer.drain()


@pytest.mark.parametrize("stage", ["auth", "request"])
def test_who_is_waited_for_goes_on_and_the_connection_with_it(run: Run, stage: str) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as connected:
            for _ in range(3):
                await connected.send("POST", "/x", BODY, f"X-Wait: {stage}")
                await made.teller.tell("known")
                answer = await connected.answer("POST")
                told = b"known" if stage == "request" else b""
                assert (answer.status, answer.body) == (200, b"%d %s" % (len(BODY), told))
            plain_one = await connected.request("POST", "/x", BODY)
            assert plain_one.status == 200
        assert await made.logged(4) == [(200, None)] * 4

    run(test)


def test_two_requests_in_one_piece_are_answered_in_turn(run: Run) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as connected:
            one = b"POST /x HTTP/1.1\r\nHost: g\r\nX-Wait: auth\r\nContent-Length: 2\r\n\r\n{}"
            connected.writer.write(one + one.replace(b"X-Wait: auth\r\n", b"") + one)
            await made.teller.tell("known")
            assert (await connected.answer("POST")).status == (await connected.answer("POST")).status == 200
            await made.teller.tell("refused")
            assert (await connected.answer("POST")).status == 401

    run(test)


@pytest.mark.parametrize(
    ("word", "status", "error"),
    [
        ("known", 200, None),
        ("refused", 401, "unauthenticated"),
        ("nobody", 401, "unauthenticated"),
        ("broken", 500, "stage_failed"),
        ("early", 200, None),
        ("empty", 204, None),
    ],
)
def test_no_more_of_the_body_is_taken_before_it_is_known_who_asks(
    run: Run, word: str, status: int, error: str | None
) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as connected:
            await send_head(connected, "auth")
            question = await made.teller.question()  # before any byte of the body has come
            question.write(f"{word}\n".encode())
            if word == "known":
                await send_body(connected)
            answer: Answer = await connected.answer("POST")
            assert answer.status == status
            if word == "early":
                assert answer.body == b"early"
            if word != "known":  # the connection is not one that goes on
                async with asyncio.timeout(10):
                    assert await connected.reader.read() == b""
        assert await made.logged(1) == [(status, error)]
        assert len(made.served.calls) == (word == "known")

    run(test)


def test_a_body_that_comes_meanwhile_is_taken_afterwards(run: Run) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as connected:
            await send_head(connected, "auth")
            question = await made.teller.question()
            sending = asyncio.create_task(send_body(connected))
            question.write(b"known\n")
            answer = await connected.answer("POST")
            await sending
            assert answer.body == b"%d " % len(BODY)
            assert (await connected.request("GET", "/x")).status == 200

    run(test)


@pytest.mark.parametrize("has_body", [True, False])
def test_a_client_that_leaves_ends_the_wait(run: Run, has_body: bool) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as leaving:
            await send_head(leaving, "auth")
            question = await made.teller.question()
            if has_body:
                leaving.writer.write(BODY[:1000])
        assert (await made.logged(1))[0][1] == "client_gone"
        async with asyncio.timeout(10):
            await question.wait_closed()
        assert not made.served.calls

    run(test)


@pytest.mark.parametrize("stage", ["auth", "request"])
def test_a_wait_ends_at_the_deadline(run: Run, stage: str) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as connected:
            await connected.send("POST", "/x", BODY, f"X-Wait: {stage}", "X-Headgate-Deadline-Ms: 300")
            await made.teller.question()
            assert (await connected.answer("POST")).status == 504
        assert await made.logged(1) == [(504, "deadline")]

    run(test)


def test_an_answer_that_needs_no_identity_is_given_at_once(run: Run) -> None:
    async def test(made: Stand) -> None:
        async with client(made.gate.port) as connected:
            for _ in range(2):
                answer = await connected.request("OPTIONS", "/x", None, "X-Early: yes")
                assert (answer.status, answer.body, answer.is_whole) == (204, b"", True)
            assert (await connected.request("GET", "/x")).status == 200
        async with client(made.gate.port) as connected:
            await send_head(connected, "none", "X-Early: yes")
            assert (await connected.answer("POST")).status == 204
            async with asyncio.timeout(10):
                assert await connected.reader.read() == b""
        assert await made.logged(4) == [(204, None), (204, None), (200, None), (204, None)]

    run(test)
