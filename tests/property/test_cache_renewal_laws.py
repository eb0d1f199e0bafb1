"""Laws of the cache where answers are asked for again: nothing stale unless allowed, nothing outdated as current."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from headgate.proxy.exchange.fields import Fields

from ..unit.plugins.cache.stand import Ask, Origin, Seen, Stand
from ..virtual_clock import VirtualClockLoop


@dataclass(frozen=True)
class Shape:
    """What a service says of its answers, and what it means."""

    directives: str
    lifetime_s: float = 10
    meanwhile_s: float = 0
    if_error_s: float = 0
    is_forbidden: bool = False


SHAPES = [
    Shape("max-age=10"),
    Shape("max-age=10, stale-while-revalidate=20", meanwhile_s=20),
    Shape("max-age=10, stale-if-error=40", if_error_s=40),
    Shape("max-age=10, stale-while-revalidate=20, stale-if-error=40", meanwhile_s=20, if_error_s=40),
    Shape("max-age=10, must-revalidate, stale-while-revalidate=20, stale-if-error=40", is_forbidden=True),
    Shape("s-maxage=10, stale-while-revalidate=20, stale-if-error=40", is_forbidden=True),
    Shape("no-cache, max-age=10, stale-if-error=40", lifetime_s=0, is_forbidden=True),
]
# What a request says: the most that its answer may be old, and stale; what it takes in place of a failure.
ASKED = {
    "": (1e9, 0.0, 0.0),
    "max-age=5": (5.0, 0.0, 0.0),
    "max-stale=7": (1e9, 7.0, 0.0),
    "stale-if-error=15": (1e9, 0.0, 15.0),
    "no-cache": (-1.0, 0.0, 0.0),
}


class RenewalMachine(RuleBasedStateMachine):
    """One resource, which changes, is changed, and fails; and what clients get of it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualClockLoop)
        self.stand = self.runner.run(_new_stand())
        self.version = self.oldest = 1
        self.shape = SHAPES[0]
        self.is_failing = False
        self.told: dict[int, tuple[float, Shape]] = {}  # when the service last said of a version that it is current

    def teardown(self) -> None:
        shelf = self.stand.cache.shelf
        assert (len(shelf.flights), len(shelf.open), shelf.memory.reserved_bytes) == (0, 0, 0)
        self.runner.close()

    def answer(self, fields: Fields) -> Origin:
        if self.is_failing:
            return Origin((), 503, (b"sorry",))
        self.told[self.version] = (self.now(), self.shape)
        etag = f'"{self.version}"'
        said = (("Cache-Control", self.shape.directives), ("ETag", etag))
        if fields.get("if-none-match") == etag:
            return Origin(said, 304, ())
        return Origin(said, 200, (b"%d" % self.version,))

    @rule(shape=st.sampled_from(SHAPES), is_changed=st.booleans())
    def say_otherwise(self, shape: Shape, is_changed: bool) -> None:
        self.shape = shape
        self.version += is_changed
        self.get(0.0, False, "no-cache")

    @rule()
    def put(self) -> None:
        self.version += 1
        self.oldest = self.version
        self.runner.run(self.stand.ask(Ask(method="PUT", body=b"x"), Origin((), 204, ())))

    @rule(
        seconds=st.sampled_from([1.0, 6.0, 9.0, 14.0, 21.0, 45.0]),
        is_failing=st.booleans(),
        said=st.sampled_from(["", "", *sorted(ASKED)]),
    )
    def get(self, seconds: float, is_failing: bool, said: str) -> None:
        self.runner.run(asyncio.sleep(seconds))
        self.is_failing = is_failing
        known = dict(self.told)
        ask = Ask((("Cache-Control", said),) if said else ())
        seen = self.runner.run(self._settled(ask))
        if seen.status == 503:
            assert self.is_failing
            return
        assert seen.body is not None
        version = int(seen.body)
        assert version >= self.oldest, "what an unsafe request has changed is never given"
        if seen.verdict in ("miss", "revalidated"):
            assert (version, self.is_failing) == (self.version, False)
            return
        told_at, shape = known[version]
        age_s = self.now() - told_at
        max_age_s, max_stale_s, if_error_s = ASKED[said]
        assert age_s <= max_age_s
        assert seen.fields["age"] == str(int(age_s))
        excess_s = age_s - shape.lifetime_s
        if excess_s < 0:
            return
        assert not shape.is_forbidden
        if seen.verdict == "stale":
            assert self.is_failing
            assert excess_s < max(shape.if_error_s, if_error_s)
        else:
            assert not seen.is_forwarded
            assert excess_s <= max_stale_s or excess_s < shape.meanwhile_s

    async def _settled(self, ask: Ask) -> Seen:
        """Ask, and let be fetched what is fetched behind."""
        seen = await self.stand.ask(ask, self.answer)
        await asyncio.gather(*self.stand.behind)
        return seen

    def now(self) -> float:
        return self.runner.get_loop().time()


async def _new_stand() -> Stand:
    return Stand()


TestRenewal = RenewalMachine.TestCase
TestRenewal.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
