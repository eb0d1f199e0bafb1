"""A connection of the lane without a network: who stands behind it notes what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from headgate.ext.http1 import HeadLimits
from headgate.ext.lane import Arrived, Downstream, Facts
from headgate.proxy.downstream.settings import ListenerSettings
from headgate.proxy.exchange.exchange import UNMATCHED
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.priority import DEFAULT
from headgate.proxy.lane.acceptor import METHODS
from headgate.proxy.lane.kinds import kind_in_answer, kind_in_request

MAX_BODY_BYTES = 1 << 16
When = Literal["within", "behind", "late"]


def new_facts(limits: HeadLimits, now: Callable[[], float] = float) -> Facts:
    """Return what a listener knows of every request."""
    settings = ListenerSettings(head_limits=limits)
    return Facts(settings, (Fields, UNMATCHED, DEFAULT), now, (kind_in_request, kind_in_answer), METHODS)


class Transport(asyncio.Transport):
    """A transport into nothing."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def is_closing(self) -> bool:
        return False


class Loop:
    """The part of a loop that a connection asks: time stands still."""

    def time(self) -> float:
        return 0.0

    def call_at(self, instant: float, callback: Callable[[], None]) -> Any:
        return asyncio.Handle(callback, (), self)  # type: ignore[arg-type]

    def get_debug(self) -> bool:
        return False


@dataclass
class Served:
    """One request that the lane took. `body` is None while it has not come as a whole; then `answer` is called."""

    arrived: Arrived
    answer: Callable[[], None]
    body: bytes | None = None
    deadline: float = float("inf")

    def go(self, body: bytes | None) -> None:
        if body is not None:
            self.body_came(body)

    def body_came(self, body: bytes) -> None:
        self.body = body
        self.answer()


@dataclass
class Door:
    """Takes every request, and notes what is left to the reference path.

    A request is answered (`when`) as soon as it is there, from within the call that brought it or behind that, or with
    all pieces there. `connect` makes the connection.
    """

    facts: Facts
    when: When = "behind"
    connect: Callable[..., Any] = Downstream
    served: list[Served] = field(default_factory=list)
    handed_over: bytes | None = None
    max_body_bytes: int = MAX_BODY_BYTES

    def opened(self, connection: Downstream) -> None:
        """Let it stay."""

    def begin(self, connection: Downstream, arrived: Arrived, body: bytes | None) -> Served:
        self.served.append(Served(arrived, partial(connection.handled, True) if self.when == "within" else nothing))
        return self.served[-1]

    def hand_over(self, connection: Downstream, data: bytes) -> None:
        self.handed_over = data

    def feed(self, pieces: list[bytes]) -> None:
        """Give a connection bytes, until it is handed over."""
        connection = self.connect(self, self.facts, Loop(), "http")
        connection.connection_made(Transport())
        rest = list(pieces)
        while rest and self.handed_over is None:
            connection.data_received(rest.pop(0))
            if self.when != "late" or not rest:
                self._answer(connection)
        if self.handed_over is not None:
            self.handed_over += b"".join(rest)

    def _answer(self, connection: Any) -> None:
        while self.served and connection.serving is self.served[-1] and self.served[-1].body is not None:
            connection.handled(True)


def nothing() -> None:
    """Answer later."""
