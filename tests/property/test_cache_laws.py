"""Laws of the cache: whose answers are given to whom, whole answers only, one fetch for many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ..unit.plugins.cache.stand import Ask, Origin, Seen, Stand, http_date
from ..virtual_clock import VirtualClockLoop, run


@dataclass
class Made:
    """An answer of the origin, and what the world knows of it."""

    ask: Ask
    origin: Origin
    at: float
    lifetime: float
    is_storable: bool
    is_outdated: bool = False


SHAPES: list[tuple[tuple[tuple[str, str], ...], float, bool]] = [
    # fields, lifetime of an answer without a Date (of one with it: from then on), whether it may be stored
    ((("Cache-Control", "max-age=30"),), 30, True),
    ((("Cache-Control", "public, max-age=300"),), 300, True),
    ((("Cache-Control", "max-age=300"), ("Vary", "X-Kind")), 300, True),
    ((("Cache-Control", "max-age=60"), ("Age", "50")), 10, True),
    ((("Expires", http_date(100)), ("Date", http_date(0))), 100, True),
    ((("Cache-Control", "no-store, max-age=300"),), 300, False),
    ((("Cache-Control", "private, max-age=300"),), 300, False),
    ((("Cache-Control", "max-age=300"), ("Set-Cookie", "a=b")), 300, False),
    ((("Cache-Control", "max-age=300"), ("Vary", "*")), 300, False),
    ((), 0, False),
]
ASKS = st.builds(
    lambda target, tenant, kind, route: Ask(
        (("X-Kind", kind),) if kind else (), target=target, tenant=tenant, route=route
    ),
    st.sampled_from(["/a", "/b"]),
    st.sampled_from([None, "t", "u"]),
    st.sampled_from(["", "x", "y"]),
    st.sampled_from(["main", "main", "other"]),
)


class WorldMachine(RuleBasedStateMachine):
    """P26, P28: whatever is asked of whom and when, a hit is fresh, whole, current, and of the same tenant."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualClockLoop)
        self.stand = self.runner.run(_new_stand())
        self.made: list[Made] = []

    def teardown(self) -> None:
        assert len(self.stand.cache.shelf.flights) == len(self.stand.cache.shelf.open) == 0
        assert self.stand.cache.shelf.memory.reserved_bytes == 0
        self.runner.close()

    @rule(
        ask=ASKS,
        shape=st.sampled_from(SHAPES),
        status=st.sampled_from([200, 200, 200, 404, 206, 500]),
        end=st.sampled_from(["whole", "whole", "whole", "cut", "fallback", "error"]),
        is_length_told=st.booleans(),
    )
    def get(self, ask: Ask, shape: Any, status: int, end: str, is_length_told: bool) -> None:
        fields, lifetime, is_storable = shape
        if "Date" in dict(fields):  # made at 0, whenever it comes: the older, the sooner stale (RFC 9111 §4.2.3)
            lifetime -= int(self.now())
        pieces = (b"answer ", b"%d" % len(self.made))
        origin = Origin(fields, status, pieces, is_length_told, end=end)
        expected = self.expected(ask)
        seen = self.runner.run(self.stand.ask(ask, origin))
        if seen.is_forwarded:
            assert expected is None, f"expected a hit from {expected}"
            is_kept = is_storable and lifetime > 0 and end == "whole" and status in (200, 404)
            self.made.append(Made(ask, origin, seen.began_at, lifetime, is_kept))
            if is_kept:
                self.replace(self.made[-1])
            return
        assert seen.body is not None
        made = self.made[int(seen.body.removeprefix(b"answer "))]
        assert made is expected
        assert (made.is_storable, made.is_outdated) == (True, False)
        assert (made.ask.tenant, made.ask.target, made.ask.route) == (ask.tenant, ask.target, ask.route)
        assert self.now() - made.at < made.lifetime
        assert seen.status == made.origin.status

    @rule(
        path=st.sampled_from(["/a", "/b"]), tenant=st.sampled_from(["t", "u"]), status=st.sampled_from([200, 303, 409])
    )
    def change(self, path: str, tenant: str, status: int) -> None:
        self.runner.run(self.stand.ask(Ask(method="PUT", target=path, tenant=tenant, body=b"x"), Origin((), status)))
        for made in self.made:
            made.is_outdated = made.is_outdated or (status < 400 and made.ask.target == path)

    @rule(seconds=st.sampled_from([0.5, 9.0, 31.0, 200.0]))
    def wait(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    def expected(self, ask: Ask) -> Made | None:
        """Return the answer that a cache with room for everything gives."""
        chosen = next((made for made in reversed(self.made) if made.is_storable and matches(made, ask)), None)
        return chosen if chosen is not None and self.now() - chosen.at < chosen.lifetime else None

    def replace(self, new: Made) -> None:
        for made in self.made:
            made.is_outdated = made.is_outdated or (made is not new and matches(made, new.ask))

    def now(self) -> float:
        return self.runner.get_loop().time()


async def _new_stand() -> Stand:
    return Stand()


def matches(made: Made, ask: Ask) -> bool:
    if made.is_outdated or (made.ask.tenant, made.ask.target, made.ask.route) != (ask.tenant, ask.target, ask.route):
        return False
    return ("Vary", "X-Kind") not in made.origin.fields or made.ask.fields == ask.fields


TestWorld = WorldMachine.TestCase
TestWorld.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)


@dataclass(frozen=True)
class Caller:
    """One client: when it comes, what it asks, when it has had enough."""

    at: float
    target: str
    leaves_after: float | None = None
    deadline_s: float = 1000.0


INSTANTS = st.integers(0, 60).map(lambda tick: tick / 10)
CALLERS = st.lists(
    st.builds(Caller, INSTANTS, st.sampled_from(["/a", "/b"]), st.none() | INSTANTS, st.sampled_from([1.0, 1000.0])),
    min_size=1,
    max_size=12,
)
ORIGINS = st.lists(
    st.builds(
        lambda fields, delay, gap, end: Origin(fields, 200, (b"one", b"two"), delay_s=delay, gap_s=gap, end=end),
        st.sampled_from([(("Cache-Control", "max-age=1000"),), (("Cache-Control", "no-store"),)]),
        INSTANTS,
        st.sampled_from([0.0, 0.1, 3.0]),
        st.sampled_from(["whole", "whole", "cut", "error", "fallback"]),
    ),
    min_size=1,
    max_size=6,
)


async def call(stand: Stand, caller: Caller, origin: Origin) -> Seen | None:
    await asyncio.sleep(caller.at)
    work = stand.ask(Ask(target=caller.target, deadline_s=caller.deadline_s), origin)
    try:
        return await asyncio.wait_for(work, caller.leaves_after)
    except TimeoutError:
        return None


async def play(callers: Sequence[Caller], origins: Sequence[Origin], **config: Any) -> tuple[Stand, list[Seen | None]]:
    stand = Stand(**config)
    calls = (call(stand, caller, origins[index % len(origins)]) for index, caller in enumerate(callers))
    return stand, await asyncio.gather(*calls)


@given(CALLERS, ORIGINS)
@settings(max_examples=120, deadline=None)
def test_every_caller_is_answered_within_its_bounds(callers: list[Caller], origins: list[Origin]) -> None:
    """P25: nobody hangs, whoever leaves or fails; nobody waits longer than allowed; nothing is left behind."""
    stand, all_seen = run(play(callers, origins, max_wait="2s"))
    for index, (caller, seen) in enumerate(zip(callers, all_seen, strict=True)):
        if seen is None:
            assert caller.leaves_after is not None
            continue
        origin = origins[index % len(origins)]
        own = (origin.delay_s + 2 * origin.gap_s) if seen.is_forwarded else 0.0
        assert seen.ended_at - seen.began_at - own <= min(2.0, caller.deadline_s) + 1e-3
        assert seen.is_forwarded or seen.body == b"onetwo"
    assert len(stand.cache.shelf.flights) == len(stand.cache.shelf.open) == 0
    assert stand.cache.shelf.memory.reserved_bytes == 0


@given(CALLERS, st.sampled_from([0.0, 0.5, 4.0]))
@settings(max_examples=80, deadline=None)
def test_one_fetch_serves_all_who_stay(callers: list[Caller], delay_s: float) -> None:
    """P25: of storable answers that come in time there is one fetch at a time, and one in all if nobody leaves."""
    patient = [Caller(caller.at, "/a", caller.leaves_after) for caller in callers]
    stand, all_seen = run(play(patient, [Origin(delay_s=delay_s)], max_wait="300s", max_followers=100))
    leavers = sum(seen is None for seen in all_seen)
    assert stand.max_at_once <= 1
    assert stand.num_forwarded <= 1 + leavers
    if not leavers:
        assert [seen is not None and seen.is_forwarded for seen in all_seen].count(True) == 1


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=30), st.booleans(), st.integers(70_000, 200_000))
@settings(max_examples=100, deadline=None)
def test_whole_answers_come_back_byte_for_byte(pieces: list[bytes], is_length_told: bool, max_bytes: int) -> None:
    """P28: what a hit gives is what the origin gave, or there is no hit because it was too large."""

    async def main() -> None:
        stand = Stand(max_bytes=max_bytes)
        origin = Origin(pieces=tuple(pieces), is_length_told=is_length_told)
        await stand.ask(Ask(), origin)
        seen = await stand.ask(Ask(), Origin(status=500))
        memory = stand.cache.shelf.memory
        assert all(entry.size_bytes <= max_bytes // 16 for entry in memory)
        assert seen.is_forwarded == (len(memory) == 0)
        assert seen.is_forwarded or seen.body == b"".join(pieces)

    run(main())
