"""A Redis that is slow, dead or somebody else's: clients are answered in time, and it is left alone for a while."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from headgate.plugins.cache.second.ear import write_message

from ...http_client import client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, raw_server, upstream
from .raw_redis import DONE, RawRedis, Words, empty, heard, is_look, raw_redis

NUM_FAILURES = 3  # after so many it is left alone
TIMEOUT_S = 0.4
NUM_ASKED = 30
BOUND_S = 20.0
TOKEN = "Authorization: Bearer secret-of-the-test"


async def hello(call: Call) -> None:
    await call.answer(b"hello", "200 OK", "Cache-Control: max-age=60")


@contextlib.asynccontextmanager
async def caching(second: dict[str, Any], **environment: Any) -> AsyncIterator[RunningGateway]:
    """Run a gateway whose cache has a second level, in front of an origin that says hello."""
    async with upstream(hello) as served:
        config = plain(served.url) | {
            "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN", "hosts": ["gate.test"]},
            "plugins": {"cache": {"second": {"timeout": f"{TIMEOUT_S * 1000:.0f}ms", **second}}},
            "stages": {"cache": ["cache"], "response_head": ["cache"]},
        }
        async with gateway(config, TOKEN=TOKEN.split()[-1], **environment) as gate:
            yield gate


async def looks(gate: RunningGateway, operation: str = "look") -> dict[str, int]:
    """How often the second level was looked at, or something else, by what came of it."""
    shown = await fetch(gate.admin_port, "GET", "/metrics", None, TOKEN)
    found = {}
    for line in shown.body.decode().splitlines():
        if line.startswith("headgate_cache_second_total{") and f'operation="{operation}"' in line:
            found[line.partition('result="')[2].partition('"')[0]] = int(float(line.rpartition(" ")[2]))
    return found


async def ask(gate: RunningGateway, number: int = NUM_ASKED, path: str = "asked") -> float:
    """Ask for so many different things, one after the other, which all are answered; return how long it took."""
    loop = asyncio.get_running_loop()
    async with client(gate.port) as connected:
        began = loop.time()
        answers = [await connected.request("GET", f"/{path}/{place}") for place in range(number)]
        took_s = loop.time() - began
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"hello")}
    return took_s


async def until_it_finds(gate: RunningGateway, result: str) -> None:
    """Ask until the second level is asked again, and it comes to that."""
    before, place = (await looks(gate)).get(result, 0), 0
    async with asyncio.timeout(BOUND_S):
        while (await looks(gate)).get(result, 0) == before:
            await ask(gate, 1, f"again/{place}")
            place += 1


def url_of(redis: RawRedis) -> dict[str, Any]:
    return {"url": f"redis://127.0.0.1:{redis.port}"}


async def slowly(words: Words) -> bytes:
    await asyncio.sleep(2 * TIMEOUT_S)
    return heard(words)


async def never(words: Words) -> bytes:
    return await asyncio.Event().wait() and b""


async def hanging_up(words: Words) -> bytes:
    raise ConnectionResetError


async def no_answer(words: Words) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


async def no_number(words: Words) -> bytes:
    return b"*five\r\n"


async def no_five(words: Words) -> bytes:
    return DONE if is_look(words) else heard(words)


async def no_time(words: Words) -> bytes:
    return b"*5\r\n$3\r\nall\r\n$0\r\n\r\n$4\r\nnoon\r\n$0\r\n\r\n:-2\r\n" if is_look(words) else heard(words)


@pytest.mark.parametrize("answer", [slowly, never, hanging_up, no_answer, no_number, no_five, no_time])
def test_a_redis_that_does_not_answer_is_left_alone(answer: Any) -> None:
    async def main() -> None:
        async with raw_redis(answer) as redis, caching(url_of(redis)) as gate:
            took_s = await ask(gate)
            assert took_s < NUM_ASKED * TIMEOUT_S / 2  # where each waited, it were twice as long
            results = await looks(gate)
            num_failed = results.get("timeout", 0) + results.get("error", 0)
            # A probe may have come in between, where the machine is slow; then it is left alone for longer.
            assert NUM_FAILURES <= num_failed <= NUM_FAILURES + 2
            assert results["paused"] == NUM_ASKED - num_failed
            assert redis.num_looks <= num_failed
            assert sum("is out" in line for line in gate.complaints) == 1

    asyncio.run(main())


def test_one_that_nobody_listens_for_is_left_alone() -> None:
    async def main() -> None:
        async with raw_redis() as redis:
            second = url_of(redis)
        async with caching(second) as gate:
            assert await ask(gate) < NUM_ASKED * TIMEOUT_S / 2
            assert (await looks(gate))["paused"] >= NUM_ASKED - NUM_FAILURES - 2

    asyncio.run(main())


def test_one_that_is_silent_at_first_is_asked_again_later_and_then_for_everything() -> None:
    async def main() -> None:
        is_awake = asyncio.Event()

        async def when_awake(words: Words) -> bytes:
            await is_awake.wait()
            return heard(words)

        async with raw_redis(when_awake) as redis, caching(url_of(redis)) as gate:
            await ask(gate)
            await until_it_finds(gate, "timeout")  # it is asked again, and is left alone for longer
            is_awake.set()
            await until_it_finds(gate, "miss")
            before = await looks(gate)
            await ask(gate, 10, "later")
            after = await looks(gate)
            assert (after["miss"] - before["miss"], after["paused"]) == (10, before["paused"])
            await gate.until(lambda: any("answers again" in line for line in gate.complaints))

    asyncio.run(main())


@dataclass
class Channel:
    """Listeners are answered so, one after the other, and then as they should be, with a message."""

    answers: list[bytes]
    asked_at: list[float] = field(default_factory=list)

    async def __call__(self, words: Words) -> bytes:
        if words[0] != b"SUBSCRIBE":
            return heard(words)
        self.asked_at.append(asyncio.get_running_loop().time())
        if self.answers:
            return self.answers.pop(0)
        said = [b"message", words[1], write_message("another", None)]
        return heard(words) + b"*3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in said)


LISTENING = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"


@pytest.mark.parametrize("answer", [b"*five\r\n", LISTENING + b"*five\r\n", b"$nothing\r\n", b"HTTP/1.1 400\r\n\r\n"])
def test_who_listens_goes_on_after_what_nobody_can_read_and_waits_longer_each_time(answer: bytes) -> None:
    async def main() -> None:
        channel = Channel([answer] * 2)
        async with raw_redis(channel) as redis, caching(url_of(redis)) as gate:
            async with asyncio.timeout(BOUND_S):
                while await looks(gate, "hear") != {"forgotten": 1}:
                    pass  # every turn asks
        first, second, third = channel.asked_at
        assert 0.9 <= second - first < third - second

    asyncio.run(main())


class Authority:
    """An authority with a file of its own."""

    def __init__(self, file: Path) -> None:
        self._ca = trustme.CA()
        self.file = str(file)
        self._ca.cert_pem.write_to_path(self.file)

    def server(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server with these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context


@pytest.mark.parametrize(
    ("named", "of_the_system", "names", "is_trusted"),
    [
        ("own", None, ("127.0.0.1",), True),
        ("other", None, ("127.0.0.1",), False),
        ("own", None, ("cache.test",), False),
        (None, "own", ("127.0.0.1",), True),
        (None, "other", ("127.0.0.1",), False),
        ("other", "own", ("127.0.0.1",), False),  # the one that is named alone
    ],
)
def test_over_tls_only_the_certificate_of_the_authority_is_taken(
    tmp_path: Path, named: str | None, of_the_system: str | None, names: tuple[str, ...], is_trusted: bool
) -> None:
    authorities = {name: Authority(tmp_path / f"{name}.pem") for name in ("own", "other")}
    system = {"SSL_CERT_FILE": authorities[of_the_system].file} if of_the_system else {}

    async def main() -> None:
        async with raw_redis(empty, authorities["own"].server(*names)) as redis:
            second = {"url": f"rediss://127.0.0.1:{redis.port}", "timeout": "5s"}
            if named is not None:
                second["ca"] = authorities[named].file
            async with caching(second, **system) as gate:
                await ask(gate, 5)
                if is_trusted:
                    assert await looks(gate) == {"miss": 5} and redis.num_looks == 5
                    assert not gate.complaints
                    return
                await gate.until(lambda: any("certificate verify failed" in line for line in gate.complaints))
                assert (await looks(gate))["error"] >= NUM_FAILURES
        assert not redis.commands  # not a word, and no password either

    asyncio.run(main())


def test_what_speaks_no_tls_is_no_redis_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca.pem")

    async def main() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"-ERR in plain text\r\n")
            await reader.read(-1)

        async with raw_server(refuse) as port:
            second = {"url": f"rediss://127.0.0.1:{port}", "ca": authority.file, "timeout": "5s"}
            async with caching(second) as gate:
                await ask(gate, 5)
                results = await looks(gate)
                assert results.keys() <= {"error", "paused"} and results["error"] >= NUM_FAILURES

    asyncio.run(main())
