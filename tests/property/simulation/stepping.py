"""Worlds of the machine's own tests, played on the whole gateway: the same plan, the same fates, step for step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from headgate.proxy.exchange.plan import HoldRule, Plan, Timeouts

from ..exchange import scenario as pure
from ..exchange.world import steps_of
from .client import reset_stream
from .upstream import DONE, NUMERICS, chunk

_AS_SEEN = {  # what a step of the pure world is on a wire: not every error can be made there
    "connect_timeout": "connect_failed",
    "tls_failed": "connect_failed",
    "pool_full": "connect_failed",
    "stale_connection": "reset",
    "body_timeout": "truncated",
}


def comparable(world: pure.Scenario, *, is_own: bool) -> pure.Scenario:
    """Return the world without what cannot be played on wires, and without two things at one instant."""
    plan, count = world.plan, max(1, len(world.plan.timeouts))
    targets = tuple(tuple(_fate(fate, index, is_own) for index, fate in enumerate(fates)) for fates in world.fates)
    hold = plan.hold
    if hold is not None:
        hold = HoldRule(hold.tokens, 0.0 if hold.tokens or hold.is_whole else hold.span_s or 0.5, hold.is_whole)
    return pure.Scenario(
        replace(
            plan,
            timeouts=plan.timeouts or (Timeouts(),),
            deadline={0.0: 5.0, float("inf"): 600.0}.get(plan.deadline, plan.deadline),
            contexts=(*plan.contexts, *(None,) * count)[:count],
            hold=hold,
            hedge=plan.hedge and replace(plan.hedge, delay_s=plan.hedge.delay_s + 0.003),
            resume_tries=3 if plan.resume_tries else 0,
        ),
        targets or ((pure.Fate(),),),
        random=world.random,
    )


def _fate(fate: pure.Fate, number: int, is_own: bool) -> pure.Fate:
    kind = _AS_SEEN.get(fate.kind, fate.kind)
    status = 500 if fate.status in (204, 302) else fate.status
    is_refusal = status >= 400
    if kind == "malformed_answer":  # to continue an answer one of those is refused for good: too much for a table
        kind = "answer_too_large"
    if fate.stage in ("event", "body") and kind == "reset":
        kind = "truncated"
    return replace(
        fate,
        stage="head" if fate.stage == "send" else fate.stage,
        kind=kind,
        status=status,
        retry_after_s=None if fate.retry_after_s is None else float(-(-fate.retry_after_s // 1)),
        can_resume=is_own,
        connect_s=0.0,
        send_s=0.0,
        # A refusal comes with its whole body.
        num_pieces=0 if is_refusal else fate.num_pieces,
        head_s=_apart(fate.head_s, number, 0.0117),
        event_s=0.0 if is_refusal else _apart(fate.event_s, number, 0.0071),
        gap_s=0.0 if is_refusal else _apart(fate.gap_s, number, 0.0039),
    )


def _apart(span_s: float, number: int, by_s: float) -> float:
    """Return a span that meets no other: what comes first of two things at one instant is nobody's promise."""
    return span_s + by_s * (1 + 0.31 * number)


@dataclass
class SteppingSite:
    """An endpoint whose requests meet the fates of a pure world. `begun` holds when each attempt reached it."""

    fates: tuple[pure.Fate, ...]
    is_own: bool
    clock: Callable[[], float]
    begun: list[float] = field(default_factory=list)
    num_connections: int = 0
    _num_met: int = 0

    def _next(self) -> pure.Fate:
        fate = self.fates[min(self._num_met, len(self.fates) - 1)]
        self._num_met += 1
        return fate

    async def admit(self) -> None:
        """Refuse the connection where that is the next fate. Raises: OSError."""
        if self.fates[min(self._num_met, len(self.fates) - 1)].stage == "connect":
            self._next()
            self.begun.append(self.clock())
            raise ConnectionRefusedError("connection refused")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.num_connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                self.begun.append(self.clock())
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                request = orjson.loads(await reader.readexactly(size))
                steps = _Steps(self, self._next(), writer, len(request.get("headgate_resume", ())))
                await _until_gone(steps.take(), reader)
        finally:
            self.num_connections -= 1
            writer.close()


async def _until_gone(work: Any, reader: asyncio.StreamReader) -> None:
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(reader.read(1))
    await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    for task in (working, leaving):
        task.cancel()
    await asyncio.wait((working, leaving))
    if not working.cancelled():
        working.result()


class _Steps:
    """The steps of one fate, on a wire."""

    def __init__(self, site: SteppingSite, fate: pure.Fate, writer: asyncio.StreamWriter, num_events: int) -> None:
        self._site = site
        self._fate = fate
        self._writer = writer
        self._num_events = num_events

    async def take(self) -> None:
        """Take all of them, each after its span."""
        for span_s, name in steps_of(self._fate)[3:]:  # what comes before is there already
            await asyncio.sleep(span_s)
            if self._writer.transport.is_closing():
                return
            getattr(self, f"_{name}", self._pass)()
            if self._fate.status >= 400:
                return
        if self._fate.kind == pure.SILENCE:
            await asyncio.get_running_loop().create_future()

    def _pass(self) -> None:
        raise AssertionError(f"no step for {self._fate}")

    def _answered(self) -> None:
        fate = self._fate
        if fate.status >= 400:
            code = "context_length_exceeded" if fate.is_too_long else "refused"
            body = orjson.dumps({"error": {"message": "no", "code": code}})
            wait = b"" if fate.retry_after_s is None else b"Retry-After: %d\r\n" % fate.retry_after_s
            head = (
                b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nConnection: close\r\n%bContent-Length: %d\r\n\r\n"
            )
            self._writer.write(head % (fate.status, wait, len(body)) + body)
            return
        fields = [b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked"]
        fields += [b"X-Headgate-Numerics: " + NUMERICS] if self._site.is_own else []
        self._writer.write(b"\r\n".join([*fields, b"Connection: close", b"", b""]))

    def _event(self, event: bytes) -> None:
        self._writer.write(b"%x\r\n%b\r\n" % (len(event), event))

    def _ping(self) -> None:
        self._event(b": ping\n\n")

    def _piece(self, reason: str | None = None) -> None:
        name = b"id: c%d\n" % self._num_events if self._site.is_own else b""
        self._num_events += 1
        self._event(name + chunk("x", {} if reason else {"content": "word "}, reason))

    _began = _piece

    def _finished(self) -> None:
        self._piece("stop")
        self._event(DONE)
        self._writer.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        reset_stream(self._writer)

    def _truncated(self) -> None:
        self._writer.close()

    def _malformed_answer(self) -> None:
        self._writer.write(b"HTTP/1.1 OK\r\n\r\n")

    def _answer_too_large(self) -> None:
        self._writer.write(b"HTTP/1.1 200 OK\r\nX-Large: %b\r\n\r\n" % (b"x" * (65 << 10)))

    def _error_event(self) -> None:
        self._event(b'data: {"error": {"message": "out of order", "code": "oops"}}\n\n')

    def _malformed_event(self) -> None:
        self._event(b"data: {oops\n\n")


def route_of(plan: Plan, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of a route whose plan this is."""
    hold, retry = plan.hold, plan.retry
    options: dict[str, Any] = {
        "deadline": _span(plan.deadline),
        "replay": "safe" if plan.may_resend else "never",
        "max_attempts": plan.max_attempts,
        "busy_wait": _span(plan.busy_wait_s),
        "commit": plan.commit,
        "on_break": "resume" if plan.resume_tries else "error",
        "retry": {
            "attempts": retry.tries_per_target,
            "on": [cause for cause in sorted(retry.on) if cause != "busy"],
            "statuses": sorted(retry.statuses),
            "backoff": _span(retry.backoff_s),
            "max_backoff": _span(retry.max_backoff_s),
        },
        "fallback": {"on": sorted(plan.fallback.on), "statuses": sorted(plan.fallback.statuses)},
        "targets": [
            {"cluster": name, **({"context": context} if context else {})}
            for name, context in zip(names, plan.contexts, strict=True)
        ],
    }
    if plan.hedge is not None:
        options["hedge"] = {"after": _span(plan.hedge.delay_s), "max": plan.hedge.max_hedges}
    if hold is not None:
        options["hold_back"] = (
            "complete" if hold.is_whole else f"{hold.tokens} tokens" if hold.tokens else _span(hold.span_s)
        )
    return options


def _span(span_s: float) -> str:
    return f"{round(span_s * 1000)}ms"
