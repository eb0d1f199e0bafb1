"""Laws of any cache: what it may give to whom, what it may keep, and that nobody waits for nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response
from ...proxy.record import Record
from ...proxy.verdicts import Hit, Identity, Miss, Store, Target
from .exchanges import make_exchange
from .law_machine import LawMachine
from .stage_run import StageRun

_GROUPS = ((Target("first"), Target("second")),)
_TENANTS = (None, "ann", "bob")
_TARGETS = ("/a", "/a?b=1", "/c")
_KINDS = ("plain", "rich")
_LIFETIMES_S = (None, 5, 60)  # None: the answer forbids to be stored
_MARK = "x-mark"  # as the gateway and other plugins put fields on an answer, of this exchange only
_DEADLINE_S = 600.0
_PIECE_BYTES = 1000


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: all that an answer may depend on."""

    tenant: str | None
    target: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Given:
    """One answer of a target. `how` it ended: whole, cut, by a fallback, an error, or the client left."""

    asked: _Asked
    how: str
    lifetime_s: int | None
    varies: bool
    at: float


@dataclass(slots=True)
class _Open:
    """A request that was not answered from memory, on its way to a target."""

    asked: _Asked
    exchange: Exchange
    record: Record


class CacheMachine(LawMachine):
    """Requests of two tenants and of nobody come, are answered whole, cut or not at all, or leave, while time passes.

    `used` tells how much the plugin keeps, in the unit of `max_used`, which the plugin is to be made with.
    `is_shared`: tenants have one cache in common. `heeds_fields`: Cache-Control and Vary of an answer are obeyed.
    """

    stage: ClassVar[str] = "cache"
    max_used: ClassVar[float]
    is_shared: ClassVar[bool] = False
    heeds_fields: ClassVar[bool] = True

    def __init__(self) -> None:
        if not hasattr(self, "max_used"):
            raise TypeError(f"{type(self).__name__}: expected `max_used`, the most that `used` may ever be")
        super().__init__()
        self._given: dict[bytes, _Given] = {}  # by body: no two answers are alike
        self._open: list[_Open] = []
        self._waiting: list[tuple[_Asked, Exchange, asyncio.Task[StageRun]]] = []

    def used(self) -> float:
        """Return how much the plugin keeps now."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method `used` that tells how much is kept")

    def exchange_of(self, tenant: str | None, target: str, kind: str) -> Exchange:
        """Return a request; to be replaced where a cache looks at something else, as at a body."""
        identity = Identity(f"key-of-{tenant}", tenant) if tenant is not None else None
        return make_exchange(
            "GET", target, [("X-Kind", kind)], identity=identity, groups=_GROUPS, now=self.loop.time,
            deadline_s=_DEADLINE_S,
        )  # fmt: skip

    @rule(tenant=st.sampled_from(_TENANTS), path=st.sampled_from(_TARGETS), kind=st.sampled_from(_KINDS))
    def ask(self, tenant: str | None, path: str, kind: str) -> None:
        """A request comes."""
        exchange = self.exchange_of(tenant, path, kind)
        self._waiting.append((_Asked(tenant, path, kind), exchange, self.begin(self.stage, exchange)))
        self._go_on()

    @precondition(lambda self: self._open)
    @rule(
        data=st.data(),
        how=st.sampled_from(("whole", "whole", "cut", "fallback", "error", "client_gone")),
        lifetime_s=st.sampled_from(_LIFETIMES_S),
        varies=st.booleans(),
        num_pieces=st.integers(1, 3),
    )
    def answer(self, data: Any, how: str, lifetime_s: int | None, varies: bool, num_pieces: int) -> None:
        """A target answers a request, in one way or another."""
        opened = self._open.pop(data.draw(st.integers(0, len(self._open) - 1), "which"))
        given = _Given(opened.asked, how, lifetime_s, varies, self.now)
        self._answer(opened, given, num_pieces)
        self._go_on()

    @precondition(lambda self: self._waiting)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        """A client leaves while the plugin waits."""
        _, _, task = self._waiting.pop(data.draw(st.integers(0, len(self._waiting) - 1), "which"))
        task.cancel()
        self._go_on()

    @rule(seconds=st.floats(0.001, 5.0) | st.sampled_from((10.0, 60.0)))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.let_run(seconds)
        self._go_on()

    @invariant()
    def stays_within_its_bound(self) -> None:
        """What is kept has a bound."""
        used = self.used()
        assert used <= self.max_used, f"a cache keeps at most {self.max_used:g}, got {used:g}"

    def teardown(self) -> None:
        """Everybody who fetches ends: then nobody has anything left to wait for."""
        try:
            while self._open:
                opened = self._open.pop()
                self._answer(opened, _Given(opened.asked, "error", None, False, self.now), 1)
                self._go_on()
            assert not self._waiting, "nobody waits for an answer that nobody fetches"
        finally:
            super().teardown()

    def _go_on(self) -> None:
        """Go on with every request whose plugin has answered."""
        self.let_run()
        done = [each for each in self._waiting if each[2].done()]
        self._waiting = [each for each in self._waiting if not each[2].done()]
        for asked, exchange, task in done:
            run = task.result()
            self.check_run(run)
            if run.error is not None:
                assert run.error.kind.name == "deadline", f"a cache answers, it raises no {run.error!r}"
            elif isinstance(run.answer, Hit):
                self._check_hit(asked, run.answer.response)
            else:
                self._open.append(self._forwarded(asked, exchange, run.answer))

    def _forwarded(self, asked: _Asked, exchange: Exchange, miss: Miss | None) -> _Open:
        record = Record(self.now)
        if miss is not None and miss.store is not None:
            record.keep_store(_Watched(miss.store, self))
        return _Open(asked, exchange, record)

    def _answer(self, opened: _Open, given: _Given, num_pieces: int) -> None:
        """Lead an answer past the store, as the gateway does."""
        record = opened.record
        if given.how in ("error", "client_gone"):
            record.error = GatewayError("client_gone" if given.how == "client_gone" else "reset")
        else:
            pieces = [b"%d of %d;" % (place, len(self._given)) + bytes(_PIECE_BYTES) for place in range(num_pieces)]
            response = Response(200, _fields(given))
            record.served.target, record.served.is_fallback = (
                _GROUPS[0][given.how == "fallback"],
                given.how == "fallback",
            )
            self._given[b"".join(pieces)] = given
            record.offer(response)
            self.show("response_head", opened.exchange, response)
            response.fields.set(_MARK, "of one exchange")
            for piece in pieces[: -1 if given.how == "cut" else None]:
                record.feed(piece)
            record.is_complete = given.how != "cut"
            record.error = None if record.is_complete else GatewayError("truncated")
        record.release()
        self.check_failures()

    def _check_hit(self, asked: _Asked, response: Response) -> None:
        body = self.run(_whole(response))
        given = self._given.get(body)
        assert given is not None, "a hit is an answer that was given, whole, and that of no two"
        assert given.how == "whole", (
            f"only a whole answer of the first choice is stored, got one that ended {given.how}"
        )
        assert response.status == 200, f"a hit has the status that was given, got {response.status}"
        assert self.is_shared or given.asked.tenant == asked.tenant, (
            f"nothing of one tenant is for another: got what {given.asked.tenant} was given for {asked.tenant}"
        )
        assert given.asked.target == asked.target, f"a hit for {asked.target} is no answer to {given.asked.target}"
        assert _MARK not in response.fields, (
            "what is put on one answer stands on no other: give each hit its own fields"
        )
        response.fields.set(_MARK, "of one exchange")
        if self.heeds_fields:
            self._check_fields(asked, given)

    def _check_fields(self, asked: _Asked, given: _Given) -> None:
        assert given.lifetime_s is not None, "an answer with Cache-Control: no-store is not stored"
        age_s = self.now - given.at
        assert age_s <= given.lifetime_s, f"an answer for {given.lifetime_s} s is not given after {age_s:g} s"
        assert not given.varies or given.asked.kind == asked.kind, (
            "an answer with Vary is for requests with like fields"
        )


class _Watched:
    """A store, of which every failure is noted."""

    def __init__(self, store: Store, machine: CacheMachine) -> None:
        self.begin = machine.guarded(store.begin)
        self.write = machine.guarded(store.write)
        self.commit = machine.guarded(store.commit)
        self.discard = machine.guarded(store.discard)


def _fields(given: _Given) -> Fields:
    control = b"no-store" if given.lifetime_s is None else b"max-age=%d" % given.lifetime_s
    raw = [(b"Content-Type", b"text/plain"), (b"Cache-Control", control)]
    return Fields(raw + [(b"Vary", b"X-Kind")] * given.varies)


async def _whole(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])
