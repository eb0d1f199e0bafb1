"""The kit's laws of caches: ours keeps them, and each finds a cache that breaks it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from headgate.plugins.cache import Cache
from headgate.plugins.testing import make_plugin
from headgate.plugins.testing.laws import CacheMachine
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Hit, Miss

MAX_ENTRIES = 2
MAX_BYTES = 1 << 16


class Kept:
    """One answer as it is kept."""

    def __init__(self, response: Response, body: bytes, until: float, kind: str | None) -> None:
        self.response, self.body, self.until, self.kind = response, body, until, kind


class Filling:
    """Takes an answer, piece by piece."""

    def __init__(self, cache: Small, key: Any, exchange: Exchange) -> None:
        self.cache, self.key, self.exchange = cache, key, exchange
        self.pieces: list[bytes] = []
        self.response = Response(500)

    def begin(self, response: Response) -> bool:
        self.response = Response(response.status, response.fields.copy())
        control = response.fields.get("cache-control") or ""
        return control != "no-store" or self.cache.flaw == "stores what forbids it"

    def write(self, piece: bytes) -> bool:
        if self.cache.flaw == "a store that raises":
            raise RuntimeError("broken")
        self.pieces.append(piece)
        return True

    def commit(self) -> None:
        if self.pieces:
            self.cache.keep(self)
        self.cache.land(self.key)

    def discard(self) -> None:
        if self.pieces and self.cache.flaw == "stores what was cut":
            self.cache.keep(self)
        if self.cache.flaw != "forgets who waits":
            self.cache.land(self.key)


class Small:
    """A cache of two answers, in which one request of a key fetches at a time; with one flaw where it is named."""

    def __init__(self, flaw: str = "") -> None:
        self.flaw = flaw
        self.kept: dict[Any, Kept] = {}
        self.flights: dict[Any, asyncio.Future[None]] = {}

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Any:
        if self.flaw == "raises":
            raise RuntimeError("broken")
        tenant = exchange.identity.tenant if exchange.identity and self.flaw != "mixes tenants" else None
        target = exchange.request.path if self.flaw == "leaves the query out" else exchange.request.target
        key = (tenant, target)
        found = self.find(key, exchange)
        if found is not None:
            return found
        if key in self.flights:
            return self.follow(key, exchange)
        self.flights[key] = asyncio.get_running_loop().create_future()
        return Miss(Filling(self, key, exchange))

    async def follow(self, key: Any, exchange: Exchange) -> Hit | Miss:
        await asyncio.shield(self.flights[key])
        return self.find(key, exchange) or Miss(None)

    def find(self, key: Any, exchange: Exchange) -> Hit | None:
        kept = self.kept.get(key)
        if kept is None or (exchange.now() > kept.until and self.flaw != "never forgets"):
            return None
        if kept.kind not in (None, exchange.request.fields["x-kind"]) and self.flaw != "ignores Vary":
            return None
        response = kept.response
        if self.flaw != "hands out one object":
            response = Response(response.status, response.fields.copy())
        response.body = kept.body
        if self.flaw == "another status":
            response.status = 203
        return Hit(response)

    def keep(self, filling: Filling) -> None:
        while len(self.kept) >= MAX_ENTRIES and self.flaw != "knows no bound":
            self.kept.pop(next(iter(self.kept)))
        fields, exchange = filling.response.fields, filling.exchange
        lifetime_s = int((fields.get("cache-control") or "").partition("=")[2] or 0)
        kind = exchange.request.fields["x-kind"] if "vary" in fields else None
        until = exchange.now() + lifetime_s
        self.kept[filling.key] = Kept(filling.response, b"".join(filling.pieces), until, kind)

    def land(self, key: Any) -> None:
        flight = self.flights.pop(key, None)
        if flight is not None and not flight.done():
            flight.set_result(None)


class Ours(CacheMachine):
    """`cache`, with a store that is soon full."""

    max_used = MAX_BYTES

    def make(self) -> Cache:
        return make_plugin(Cache, {"max_bytes": MAX_BYTES}, name="cache")

    def used(self) -> float:
        return float(self.plugin.shelf.memory.used_bytes)


class OursAlone(Ours):
    """`cache`, where each request fetches for itself."""

    def make(self) -> Cache:
        return make_plugin(Cache, {"max_bytes": MAX_BYTES, "single_flight": False}, name="cache")


class OursShared(Ours):
    """`cache`, one for all tenants."""

    is_shared = True

    def make(self) -> Cache:
        return make_plugin(Cache, {"max_bytes": MAX_BYTES, "share": "all"}, name="cache")


class Sound(CacheMachine):
    """The cache of this test, as it should be."""

    max_used = MAX_ENTRIES

    def make(self) -> Small:
        return Small()

    def used(self) -> float:
        return len(self.plugin.kept)


for machine in (Ours, OursAlone, OursShared, Sound):
    machine.TestCase.settings = settings(max_examples=30, stateful_step_count=30)
TestOurs = Ours.TestCase
TestOursAlone = OursAlone.TestCase
TestOursShared = OursShared.TestCase
TestSound = Sound.TestCase

QUICK = settings(max_examples=1000, stateful_step_count=40, database=None, deadline=None, phases=[Phase.generate])
FLAWS = {
    "raises": "neither raises nor answers wrongly",
    "a store that raises": "does not raise",
    "mixes tenants": "nothing of one tenant is for another",
    "leaves the query out": "is no answer to",
    "stores what was cut": "a hit is an answer that was given, whole|only a whole answer",
    "stores what forbids it": "no-store is not stored",
    "never forgets": "is not given after",
    "ignores Vary": "with Vary is for requests with like fields",
    "hands out one object": "stands on no other",
    "another status": "has the status that was given",
    "knows no bound": "keeps at most 2",
    "forgets who waits": "nobody waits for an answer that nobody fetches",
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_cache_that_breaks_a_law_is_found(flaw: str) -> None:
    class Flawed(Sound):
        def make(self) -> Small:
            return Small(flaw)

    with pytest.raises(AssertionError, match=FLAWS[flaw]):
        run_state_machine_as_test(Flawed, settings=QUICK)


def test_a_machine_without_a_bound_is_refused() -> None:
    class Unbounded(CacheMachine):
        pass

    with pytest.raises(TypeError, match="Unbounded: expected `max_used`"):
        Unbounded()
