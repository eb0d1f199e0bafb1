"""Asks every endpoint of a cluster, again and again, whether it is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from ....ext.http1 import HeadLimits
from ...errors import GatewayError
from ...tasks import spawn
from ..connection import UpstreamConnection
from ..connector import Connector
from ..endpoint import Endpoint
from ..wire import Wire
from .settings import CheckSettings

MAX_BODY_BYTES = 64 * 1024
_JITTER = 0.1  # of the interval, to either side
_LIMITS = HeadLimits()
_log = logging.getLogger("headgate")

Fields = Sequence[tuple[bytes, bytes]]


class Verdict:
    """Turns the results of single checks into well or bad: it takes some in a row to change it."""

    __slots__ = ("_num_contrary", "_settings", "is_well")

    def __init__(self, settings: CheckSettings) -> None:
        self._settings = settings
        self._num_contrary = 0
        self.is_well = True  # until found otherwise: traffic need not wait for the first checks

    def add(self, is_success: bool) -> bool:
        """Take one result; return whether the verdict has changed."""
        if is_success is self.is_well:
            self._num_contrary = 0
            return False
        self._num_contrary += 1
        wanted = self._settings.num_unhealthy if self.is_well else self._settings.num_healthy
        if self._num_contrary < wanted:
            return False
        self.is_well, self._num_contrary = is_success, 0
        return True


class ActiveCheck:
    """Checks one endpoint until it is stopped, one check at a time, each over a connection of its own.

    `fields` are what every request to the endpoint has besides Host. `on_change` is told when the verdict changes.
    """

    __slots__ = ("_connector", "_endpoint", "_fields", "_on_change", "_random", "_settings", "_task", "verdict")

    def __init__(
        self,
        endpoint: Endpoint,
        settings: CheckSettings,
        fields: Fields,
        random: Callable[[], float],
        on_change: Callable[[bool], None],
    ) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._fields = request_fields(endpoint, fields)
        self._random = random
        self._on_change = on_change
        self._connector = Connector(endpoint)
        self._task: asyncio.Task[None] | None = None
        self.verdict = Verdict(settings)

    def start(self) -> None:
        """Begin, in a task of its own."""
        if self._task is None:
            self._task = spawn(self._run(), f"check {self._endpoint.authority}")

    def stop(self) -> None:
        """End; a check under way is aborted."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        interval_s = self._settings.interval_s
        await asyncio.sleep(interval_s * self._random())  # endpoints of one cluster are not asked all at once
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            reason = await self.check()
            if self.verdict.add(reason is None):
                self._tell(reason)
            pause_s = interval_s * (1 + _JITTER * (2 * self._random() - 1))
            await asyncio.sleep(max(0.0, began + pause_s - loop.time()))

    def _tell(self, reason: str | None) -> None:
        self._on_change(self.verdict.is_well)
        if reason is None:
            _log.info("endpoint %s is well again", self._endpoint.authority)
        else:
            _log.warning("endpoint %s is not well: %s", self._endpoint.authority, reason)

    async def check(self) -> str | None:
        """Ask once, within the timeout; return what is wrong, if anything."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                wire = await self._connector.connect(self._settings.timeout_s)
                try:
                    reason = await self._ask(UpstreamConnection(wire, _LIMITS, _ignore))
                except BaseException:
                    wire.abort()
                    raise
                wire.close()
                return reason
        except TimeoutError:
            return f"no answer within {self._settings.timeout_s:g} s"
        except (GatewayError, OSError) as error:
            return str(error)

    async def _ask(self, connection: UpstreamConnection) -> str | None:
        connection.send_head(b"GET", self._settings.path.encode("ascii"), self._fields)
        connection.end_body()
        head = await connection.read_head()
        if not self._settings.is_expected(head.status):
            return f"status {head.status}"
        size = 0
        while piece := await connection.read_body():
            size += len(piece)
            if size > MAX_BODY_BYTES:
                break  # it has said enough
        return None


def request_fields(endpoint: Endpoint, fields: Fields) -> list[tuple[bytes, bytes]]:
    """Return the fields of a check: the cluster's own go before ours."""
    own = [
        (b"Host", endpoint.authority.encode("latin-1")),
        (b"User-Agent", b"headgate"),
        (b"Accept", b"*/*"),
        (b"Connection", b"close"),
    ]
    given = {name.lower() for name, _ in fields}
    return [*(pair for pair in own if pair[0].lower() not in given), *fields]


def _ignore(wire: Wire, is_reusable: bool) -> None:
    """There is no pool to give the connection back to."""
