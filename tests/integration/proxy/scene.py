"""Exchanges held at one moment of their lives: a gateway, an upstream that follows a script, clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from headgate.proxy.upstream.health.budget import RetryBudget

from ...http_client import Client, client
from ...running import plain
from ...upstream import Call, Upstream, raw_server, upstream
from .completions import PATH
from .inside import Inside, inside

BODY = b'{"stream": true, "model": "m"}'
POST = b"POST %b HTTP/1.1\r\nHost: gate.test\r\n%%bContent-Length: %d\r\n\r\n%b" % (PATH.encode(), len(BODY), BODY)


@dataclass
class Scene:
    """A gateway with `num` exchanges on their way to one moment. `num_held` counts upstream calls that reached it."""

    moment: Moment
    num: int
    go: asyncio.Event = field(default_factory=asyncio.Event)
    is_breaking: bool = False
    gone: list[Call] = field(default_factory=list)  # calls that the gateway left while they were held
    num_held: int = 0
    num_hanging: int = 0
    num_clients: int = 0
    gate: Inside = field(init=False)
    served: Upstream = field(init=False)

    async def hold(self, call: Call) -> None:
        """Stay here until the test, or the gateway, ends it. Raises: ConnectionError unless the answer is to go on."""
        self.num_held += 1
        going, gone = asyncio.ensure_future(self.go.wait()), asyncio.ensure_future(call.gone())
        try:
            await asyncio.wait((going, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            going.cancel()
            gone.cancel()
            await asyncio.wait((going, gone))
        if not self.go.is_set():
            self.gone.append(call)
            raise ConnectionError("the gateway left")
        self.break_if_told(call)

    def is_first(self, call: Call) -> bool:
        """Whether this is the first call of its client."""
        clients = [each.fields("x-client") for each in self.served.calls]
        return clients.count(call.fields("x-client")) == 1

    def break_if_told(self, call: Call) -> None:
        if self.is_breaking:
            call.reset()
            raise ConnectionError("reset, as told")

    async def play(self, call: Call) -> None:
        self.break_if_told(call)
        try:
            await self.moment.script(self, call)
        except RuntimeError as error:
            if call.writer.transport.is_closing():  # so the event loop says that nothing can be written any more
                raise ConnectionError("the gateway left") from error
            raise

    async def hang(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection and say nothing: a TLS handshake that never ends."""
        self.num_hanging += 1
        while await reader.read(65536):
            pass
        writer.close()

    async def until_there(self) -> None:
        """Wait until every exchange has come to the moment."""
        await self.gate.until(lambda: self.moment.is_there(self))

    @property
    def pool(self) -> Mapping[str, int]:
        """What all the pools have."""
        pools = [member.pool for cluster in self.gate.clusters.values() for member in cluster.members]
        return {
            "busy": sum(pool.num_busy for pool in pools),
            "waiting": sum(pool.num_waiting for pool in pools),
        }

    @property
    def num_failures(self) -> int:
        """The failures in a row that stand against the endpoints."""
        return sum(member.num_failures for cluster in self.gate.clusters.values() for member in cluster.members)

    @property
    def num_counted(self) -> int:
        """The attempts that the metrics count."""
        text = self.gate.gateway.observer.registry.render().decode()
        return sum(int(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("headgate_attempts_"))


Script = Callable[[Scene, Call], Awaitable[None]]


def all_held(scene: Scene) -> bool:
    return scene.num_held >= scene.num


@dataclass(frozen=True)
class Moment:
    """How an exchange comes to one moment, and what its end is called there.

    `broken` and `stalled` are the errors where the upstream resets the connection there, or is silent from there on,
    `late` those of a deadline that passes; empty: it does not end there by that. `num_failures`: how many of its
    attempts have failed by then.
    """

    script: Script
    route: Mapping[str, Any] = field(default_factory=dict)
    pool: Mapping[str, Any] = field(default_factory=dict)
    breaker: Mapping[str, Any] = field(default_factory=lambda: {"failures": 1000})
    config: Mapping[str, Any] = field(default_factory=dict)
    request: bytes = POST
    rest: bytes = b""  # of the request, sent once the exchange may go on
    is_there: Callable[[Scene], bool] = all_held
    hole: Literal["", "only", "second"] = ""  # the endpoint where no connection comes about
    can_go_on: bool = True
    broken: str = ""
    stalled: str = ""
    late: tuple[str, ...] = ("deadline",)
    num_failures: int = 0


@contextlib.asynccontextmanager
async def scene_of(moment: Moment, num: int, timeouts: Mapping[str, str] | None = None) -> AsyncIterator[Scene]:
    """Serve one moment, with `timeouts` of the upstreams."""
    scene = Scene(moment, num)
    async with upstream(scene.play) as scene.served, raw_server(scene.hang) as hole:
        config = plain(scene.served.url, **moment.route)
        cluster = config["clusters"]["t0"]
        cluster |= {
            "timeouts": dict(timeouts or {}),
            "pool": {"idle_timeout": "20ms", **moment.pool},
            "breaker": moment.breaker,
        }
        if moment.hole:
            others = [scene.served.url] if moment.hole == "second" else []
            cluster["tls"] = {"verify": False}  # to load the system's authorities takes long
            cluster["endpoints"] = [*others, f"https://127.0.0.1:{hole}"]
        async with inside({**config, **moment.config}) as scene.gate:
            cluster = scene.gate.clusters["t0"]
            cluster.hedges = RetryBudget(1.0, 1000.0)  # room for a hedge of each
            cluster.members[-1].weight = 1e-9 if moment.hole == "second" else 1.0  # of two the last to be chosen
            yield scene


@contextlib.asynccontextmanager
async def clients_of(scene: Scene) -> AsyncIterator[list[Client]]:
    """Have `scene.num` clients ask."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(scene.gate.port)) for _ in range(scene.num)]
        for each in clients:
            scene.num_clients += 1
            each.writer.write(scene.moment.request % (b"X-Client: %d\r\n" % scene.num_clients))
        yield clients
