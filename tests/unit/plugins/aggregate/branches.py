"""Branches that do as a test says, on the virtual clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate.plugins.aggregate import Aggregate
from headgate.plugins.aggregate.options import AggregateOptions, target_named
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.relay import close_body
from headgate.proxy.verdicts import Reject, Target

from ....virtual_clock import run
from ..exchanges import make_exchange

JSON = "application/json"


@dataclass(frozen=True)
class Fate:
    """What one call meets: after `head_s` its head or the error `fails`, after `body_s` more the end of its body.

    `cut`: the error that stands in place of this end. A body that is None never ends.
    """

    head_s: float = 0.0
    fails: str | None = None
    status: int = 200
    body_s: float = 0.0
    body: bytes | None = b'{"ok": true}'
    cut: str | None = None
    media_type: str = JSON
    fields: tuple[tuple[bytes, bytes], ...] = ()
    usage: tuple[int, int] | None = None


@dataclass
class Spent:
    """The usage of an answer, known at its end."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(eq=False)
class ScriptedBody:
    """A body that comes in two pieces."""

    fate: Fate
    usage: Spent
    is_closed: bool = False
    _sent: int = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        body = self.fate.body
        if self._sent == 0 and body:
            self._sent = 1
            return body[: len(body) // 2]
        if self._sent == 2:
            raise StopAsyncIteration
        await (asyncio.sleep(self.fate.body_s) if body is not None else asyncio.get_running_loop().create_future())
        if self.fate.cut is not None:
            raise GatewayError(self.fate.cut)
        self._sent = 2
        if self.fate.usage is not None:
            self.usage.prompt_tokens, self.usage.completion_tokens = self.fate.usage
        assert body is not None
        return body[len(body) // 2 :]

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass
class WholeBody:
    """A request body that is there."""

    data: bytes
    is_empty: bool = False

    @property
    def length(self) -> int:
        return len(self.data)

    async def read(self, limit_bytes: int) -> bytes:
        return self.arrived(limit_bytes)

    def arrived(self, limit_bytes: int) -> bytes:
        if len(self.data) > limit_bytes:
            raise GatewayError("body_too_large")
        return self.data

    def replace(self, data: bytes) -> None:
        self.data = data


@dataclass
class Told:
    """What came of one exchange: `answer` is its response with the whole body, or its error."""

    answer: Response | GatewayError
    ended_at: float
    extra: Mapping[str, str]
    asked: list[tuple[str, bytes | None]] = field(default_factory=list)
    bodies: list[ScriptedBody] = field(default_factory=list)
    num_tasks: int = 0

    @property
    def response(self) -> Response:
        assert isinstance(self.answer, Response), self.answer
        return self.answer

    @property
    def error(self) -> str:
        assert isinstance(self.answer, GatewayError), self.answer
        return self.answer.kind.name

    @property
    def body(self) -> bytes:
        assert isinstance(self.response.body, bytes)
        return self.response.body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def field(self) -> str:
        """What is told of the branches in the head of the answer or error."""
        fields = Fields(self.answer.fields) if isinstance(self.answer, GatewayError) else self.answer.fields
        return fields["x-headgate-branches"]

    @property
    def outcomes(self) -> list[str]:
        """The outcome of each branch, in order."""
        return [item.partition("outcome=")[2].partition(";")[0] for item in self.field.split(", ")]


def options(**settings: Any) -> AggregateOptions:
    return AggregateOptions.model_validate(settings)


async def told_of(
    fates: Mapping[str, Fate], settings: AggregateOptions, exchange: Exchange, leave_s: float | None = None
) -> Told:
    """Let the plugin answer an exchange whose targets meet `fates`; with `leave_s` the client leaves then."""
    loop = asyncio.get_running_loop()
    told = Told(GatewayError("client_gone"), 0.0, exchange.extra)

    async def call(target: Target, body: bytes | None = None) -> Response:
        told.asked.append((target.name, body))
        fate = fates[target.name]
        await asyncio.sleep(fate.head_s)
        if fate.fails is not None:
            raise GatewayError(fate.fails)
        usage = Spent()
        scripted = ScriptedBody(fate, usage)
        told.bodies.append(scripted)
        fields = Fields([(b"Content-Type", fate.media_type.encode()), *fate.fields])
        return Response(fate.status, fields, scripted, is_whole_events=True, usage=usage)

    exchange.call = call
    exchange.route.options = {"aggregate": settings}
    before = len(asyncio.all_tasks())
    asking = asyncio.ensure_future(_answer(exchange))
    if leave_s is not None:
        loop.call_later(leave_s, asking.cancel)
    try:
        told.answer = await asking
    except GatewayError as error:
        told.answer = error
    except asyncio.CancelledError:
        assert leave_s is not None
    told.ended_at = loop.time()
    await asyncio.sleep(0)
    told.num_tasks = len(asyncio.all_tasks()) - before
    return told


async def _answer(exchange: Exchange) -> Response:
    waiting = Aggregate().headgate_aggregate(exchange)
    assert waiting is not None and not isinstance(waiting, Response | Reject)
    answer = await waiting
    body = answer.body
    if not isinstance(body, bytes):
        try:
            answer.body = b"".join([piece async for piece in body])
        finally:
            await close_body(body)
    return answer


def tell(
    fates: Mapping[str, Fate] | Sequence[Fate],
    *fields: tuple[str, str],
    deadline_s: float = 10.0,
    leave_s: float | None = None,
    request: bytes = b"{}",
    model: str | None = None,
    **settings: Any,
) -> Told:
    """Let the plugin answer one exchange, on a clock of its own; targets are named `a`, `b`, … where not otherwise."""
    named = fates if isinstance(fates, Mapping) else {chr(97 + at): fate for at, fate in enumerate(fates)}

    async def main() -> Told:
        loop = asyncio.get_running_loop()
        exchange = make_exchange(*fields, model=model, now=loop.time)
        exchange.request.body = WholeBody(request)
        exchange.groups = (tuple(target_named(name) for name in named),)
        exchange.deadline = deadline_s
        return await told_of(named, options(**settings), exchange, leave_s)

    return run(main())
