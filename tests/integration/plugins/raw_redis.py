"""A server that a cache takes for its Redis, and that does as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from headgate.plugins.cache.second.scripts import LOOK

from ...upstream import raw_server

NOTHING_FOUND = b"*5\r\n$3\r\nall\r\n$0\r\n\r\n$1\r\n1\r\n$0\r\n\r\n:-2\r\n"
DONE = b":1\r\n"
Words = list[bytes]
Answer = Callable[[Words], Awaitable[bytes]]


@dataclass(slots=True)
class RawRedis:
    """Waits for what `answer` says to each command before it reads the next one of that connection, as Redis does."""

    answer: Answer
    port: int = 0
    commands: list[Words] = field(default_factory=list)
    num_connections: int = 0

    @property
    def num_looks(self) -> int:
        """How often it was asked for an answer."""
        return sum(is_look(words) for words in self.commands)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:  # to the end of the connection
                words = [await _word(reader) for _ in range(int((await reader.readuntil(b"\r\n"))[1:]))]
                self.commands.append(words)
                writer.write(await self.answer(words))
                await writer.drain()


async def _word(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readuntil(b"\r\n"))[1:])
    return (await reader.readexactly(size + 2))[:-2]


def is_look(words: Words) -> bool:
    return words[0] == b"EVAL" and words[1] == LOOK.encode()


def heard(words: Words) -> bytes:
    """Return what a Redis says that is empty, and forgets what it is told."""
    if words[0] == b"SUBSCRIBE":
        return b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%b\r\n:1\r\n" % (len(words[1]), words[1])
    return NOTHING_FOUND if is_look(words) else DONE


async def empty(words: Words) -> bytes:
    """Answer as it does, at once."""
    return heard(words)


@contextlib.asynccontextmanager
async def raw_redis(answer: Answer = empty, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawRedis]:
    """Serve on loopback."""
    served = RawRedis(answer)
    async with raw_server(served.serve, tls=tls) as port:
        served.port = port
        yield served
