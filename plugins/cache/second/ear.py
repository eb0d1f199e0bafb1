"""Hears what other instances have Redis forget, so that memory forgets it, too."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from contextvars import Context

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from ....proxy.tasks import spawn
from ..key import Uri
from .link import CONNECT_S
from .outbox import Forgotten

_RETRIES_S = (1.0, 2.0, 5.0, 10.0)
_log = logging.getLogger("headgate.plugins.cache")


class Ear:
    """Listens on one channel, on a connection of its own, until it is closed.

    What is said while there is no connection is not heard. `forget` is called with what others, not `own`, have said.
    """

    def __init__(
        self, connect: Callable[[], AbstractConnection], channel: bytes, own: str, forget: Callable[[Forgotten], None]
    ) -> None:
        self._connect = connect
        self._channel = channel
        self._own = own
        self._forget = forget
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Listen from now on. To be called in a running loop, once."""
        self._task = spawn(self._listen(), "cache-second-ear", Context())

    def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        num_failures = 0
        while True:  # to the end of the plugin; every turn waits
            began_at = loop.time()
            try:
                await self._hear()
            except (RedisError, OSError, TimeoutError):
                pass  # the other connection tells what is wrong
            except Exception as error:  # redis-py raises anything for what it cannot read
                _log.error("cache: what is forgotten by others is not heard for a while: %r", error)
            if loop.time() - began_at > _RETRIES_S[-1]:
                num_failures = 0  # it listened
            await asyncio.sleep(_RETRIES_S[min(num_failures, len(_RETRIES_S) - 1)])
            num_failures += 1

    async def _hear(self) -> None:
        connection = self._connect()
        try:
            async with asyncio.timeout(CONNECT_S):
                await connection.connect_check_health(check_health=False)
                await connection.send_command("SUBSCRIBE", self._channel, check_health=False)
            while True:  # to the end of the connection; waits with every turn
                told = await connection.read_response(timeout=math.inf)
                if isinstance(told, list) and len(told) == 3 and told[0] == b"message":
                    self._take(told[2])
        finally:
            await connection.disconnect(nowait=True)

    def _take(self, message: bytes) -> None:
        said = read_message(message)
        if said is not None and said[0] != self._own:
            self._forget(said[1])


def write_message(own: str, what: Forgotten) -> bytes:
    """Return what is said of something forgotten."""
    return json.dumps([own, what]).encode()


def read_message(message: bytes) -> tuple[str, Forgotten] | None:
    """Return who has said what; None for what cannot be read."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return None
    match said:
        case [str() as who, None]:
            return who, None
        case [str() as who, [str() as scheme, str() as authority, str() as target]]:
            return who, Uri(scheme, authority, target)
    return None
