"""One connection to Redis, on which all who ask are answered in the order in which they asked."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import InvalidResponse, ResponseError

from ....proxy.tasks import spawn
from .config import SecondConfig

CONNECT_S = 5.0
STALL_S = 1.0  # whoever gives up finds that nothing was answered for so long: the connection is given up, too
MAX_WAITING = 1024

Word = bytes | str | int


class LinkError(Exception):
    """There is no connection, or it ended before the answer came."""


class RefusedError(Exception):
    """Redis answered with an error."""


class BusyError(Exception):
    """Too many wait for an answer already."""


@dataclass(slots=True)
class _Question:
    words: tuple[Word, ...]
    answer: asyncio.Future[Any]
    sent_at: float = math.inf


class _Wire:
    """One connection from its beginning to its end.

    A question that is given up is answered all the same, and the answer dropped: the order stays.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._unsent: deque[_Question] = deque()
        self._sent: deque[_Question] = deque()
        self._changed = asyncio.Event()
        self.is_over = False
        # Not in an exchange's context: that must not live as long as a connection.
        self._task = spawn(self._serve(), "redis", Context())

    @property
    def num_waiting(self) -> int:
        return len(self._unsent) + len(self._sent)

    def is_stalled(self, now: float) -> bool:
        return bool(self._sent) and now - self._sent[0].sent_at > STALL_S

    def put(self, question: _Question) -> None:
        self._unsent.append(question)
        self._changed.set()

    def cut(self) -> None:
        """End at once. What was not answered fails."""
        self.is_over = True
        self._task.cancel()

    async def _serve(self) -> None:
        reason = "it was closed"
        try:
            reason = await self._end()
        finally:
            self.is_over = True
            await self._connection.disconnect(nowait=True)
            for question in (*self._sent, *self._unsent):
                if not question.answer.done():
                    question.answer.set_exception(LinkError(reason))

    async def _end(self) -> str:
        """Connect, send and read; return why it ended. For what it cannot read redis-py raises anything."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connection.connect_check_health(check_health=False)
        except Exception as error:
            return _words(error)
        reason = ""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._send())
                both.create_task(self._read())
        except* Exception as errors:
            reason = _words(errors.exceptions[0])
        return reason

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while True:  # to the end of the connection; waits with every turn
            while self._unsent:
                question = self._unsent.popleft()
                if question.answer.done():
                    continue  # given up
                question.sent_at = loop.time()
                self._sent.append(question)
                packed = self._connection.pack_command(*question.words)
                await self._connection.send_packed_command(packed, check_health=False)
            self._changed.clear()
            await self._changed.wait()

    async def _read(self) -> None:
        while True:  # to the end of the connection; waits with every turn
            reply: Any
            try:
                reply = await self._connection.read_response(timeout=math.inf)
            except ResponseError as error:
                reply = RefusedError(str(error))
            if not self._sent:
                raise InvalidResponse("an answer came to nothing that was asked")
            answer = self._sent.popleft().answer
            if answer.done():
                continue
            if isinstance(reply, RefusedError):
                answer.set_exception(reply)
            else:
                answer.set_result(reply)


class Link:
    """Asks Redis; connects when it is asked something, and anew where a connection has ended."""

    def __init__(self, connect: Callable[[], AbstractConnection]) -> None:
        self._connect = connect
        self._wire: _Wire | None = None
        self._is_closed = False

    async def ask(self, *words: Word) -> Any:
        """Send one command and return what Redis answers. May be given up at any moment.

        Raises: LinkError, RefusedError, BusyError.
        """
        if self._is_closed:
            raise LinkError("it was closed")
        loop = asyncio.get_running_loop()
        wire = self._wire
        if wire is None or wire.is_over:
            wire = self._wire = _Wire(self._connect())
        if wire.num_waiting >= MAX_WAITING:
            raise BusyError
        question = _Question(words, loop.create_future())
        wire.put(question)
        try:
            return await question.answer
        except asyncio.CancelledError:
            if wire.is_stalled(loop.time()):
                wire.cut()
            raise

    def close(self) -> None:
        """Ask no more."""
        self._is_closed = True
        if self._wire is not None:
            self._wire.cut()


def connector(config: SecondConfig) -> Callable[[], AbstractConnection]:
    """Return what makes a connection to the Redis of a configuration, not yet open."""
    address = config.address
    options: dict[str, Any] = {
        "db": address.database,
        "username": config.username,
        "password": None if config.password is None else config.password.reveal(),
        "protocol": 2,
        "socket_timeout": None,  # ours bound it: redis-py's is a wait_for, which at times loses a cancellation
        "socket_connect_timeout": CONNECT_S,
        "driver_info": None,
    }
    if address.path:
        return lambda: UnixDomainSocketConnection(path=address.path, **options)
    place: dict[str, Any] = {"host": address.host, "port": address.port, "socket_keepalive": True}
    if not address.is_tls:
        return lambda: Connection(**place, **options)
    # Made once: it reads files. And redis-py's own would trust the system's authorities beside the one that is named.
    context = ssl.create_default_context(cafile=None if config.ca is None else str(config.ca))
    return lambda: _over_tls(context, **place, **options)


def _over_tls(context: ssl.SSLContext, **options: Any) -> SSLConnection:
    connection = SSLConnection(**options)
    connection.ssl_context.context = context
    return connection


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
