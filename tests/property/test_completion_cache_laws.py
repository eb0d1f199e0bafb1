"""Laws of the completion cache: one fetch for many, whatever its client does; whole answers, to whom they are for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.proxy.exchange.message import Response
from headgate.proxy.record import Record

from ..unit.plugins.completion_cache.answers import chat, stream, texts_of
from ..unit.plugins.completion_cache.stand import Ask, Origin, Reader, Seen, Stand, streamed
from ..virtual_clock import run

MAX_BYTES = 65536
TENANTS = ("t", "u")
ENDS = ("whole", "whole", "whole", "cut", "error", "fallback")
WORDS = 4


@dataclass(frozen=True)
class Visit:
    """One request that comes `at` an instant, and may leave after `stays_s`; the origin answers it as `end` says."""

    at: float
    tenant: str
    seed: int
    is_stream: bool
    stays_s: float | None
    deadline_s: float
    is_slow: bool
    end: str


INSTANTS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 40.0])
VISITS = st.builds(
    Visit,
    at=INSTANTS,
    tenant=st.sampled_from(TENANTS),
    seed=st.sampled_from([1, 2]),
    is_stream=st.sampled_from([True, True, False]),
    stays_s=st.none() | st.sampled_from([0.1, 0.6, 1.1, 2.6]),
    deadline_s=st.sampled_from([2.0, 30.0, 30.0]),
    is_slow=st.booleans(),
    end=st.sampled_from(ENDS),
)


class World(Stand):
    """Numbers the origin's answers, and knows for whom each one was made and how many were under way at once."""

    def __init__(self, visits: list[Visit]) -> None:
        super().__init__(max_bytes=MAX_BYTES, max_entry=16384)
        self.visits = {id(visit): visit for visit in visits}
        self.made: dict[str, tuple[Visit, str]] = {}  # what an answer says -> for whom, and how it ended

    async def visit(self, visit: Visit) -> tuple[Seen, Reader] | None:
        """Come, and leave or stay; None for who left."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(visit.at)
        reader = Reader(is_slow=visit.is_slow)
        ask = Ask({"seed": visit.seed}, visit.is_stream, visit.tenant, deadline_s=visit.deadline_s)
        asking = asyncio.create_task(self.ask(ask, self.origin_for(visit), reader))
        if visit.stays_s is not None:
            loop.call_later(visit.stays_s, reader.leave)
        await asyncio.wait((asking,))
        self.check_budget()
        if reader.is_gone:
            return None
        return asking.result(), reader

    def origin_for(self, visit: Visit) -> Origin:
        origin = streamed(end=visit.end) if visit.is_stream else Origin(end=visit.end)
        return replace(origin, fields=(*origin.fields, ("X-Visit", str(id(visit)))), delay_s=1.0, gap_s=0.5)

    async def _fetch(self, record: Record, origin: Origin) -> Response:
        number = f"answer-{len(self.made)}"
        words = [f"{number} "] + ["word "] * WORDS
        pieces = stream(*words, has_usage=True) if len(origin.pieces) > 1 else (chat("".join(words)),)
        if origin.end == "cut":
            pieces = pieces[:3]
        self.made[number] = (self.visits[int(origin.fields[-1][1])], origin.end)
        return await super()._fetch(record, replace(origin, pieces=pieces))

    def check_budget(self) -> None:
        memory = self.cache.shelf.memory
        assert memory.used_bytes <= MAX_BYTES


def said(seen: Seen, visit: Visit) -> str:
    """What an answer says, whatever its form."""
    if not visit.is_stream:
        content: str = json.loads(seen.body)["choices"][0]["message"]["content"]
        return content
    return texts_of(seen.body).get(0, "")


@settings(max_examples=150, deadline=None)
@given(st.lists(VISITS, min_size=1, max_size=9))
def test_whatever_comes_and_goes(visits: list[Visit]) -> None:
    async def main() -> None:
        world = World(visits)
        ends = await asyncio.gather(*(world.visit(visit) for visit in visits))
        for visit, end in zip(visits, ends, strict=True):
            if end is not None:
                check(world, visit, *end)
        shelf = world.cache.shelf
        assert (len(shelf.flights), shelf.memory.reserved_bytes, world.num_open) == (0, 0, 0)

    run(main())


def check(world: World, visit: Visit, seen: Seen, reader: Reader) -> None:
    """Every one gets a whole answer of its own tenant, or an error that is its own or its fetch's."""
    if seen.error:
        assert seen.error in ("reset", "truncated", "deadline")
        # Of an answer that broke off there is no more than came, and it does not look whole.
        assert b"[DONE]" not in seen.body
        return
    text = said(seen, visit)
    number, _, rest = text.partition(" ")
    made_for, end = world.made[number]
    assert (made_for.tenant, made_for.seed) == (visit.tenant, visit.seed)
    assert rest == "word " * WORDS
    assert end != "cut"
    if seen.verdict == "hit":
        assert end == "whole"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.builds(
            Visit,
            at=st.sampled_from([0.0, 0.25, 0.5, 0.9]),
            tenant=st.just("t"),
            seed=st.just(1),
            is_stream=st.just(True),
            stays_s=st.none() | st.sampled_from([0.3, 1.2, 2.1]),
            deadline_s=st.just(30.0),
            is_slow=st.booleans(),
            end=st.just("whole"),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_who_asks_for_the_same_while_anybody_wants_it_shares_one_fetch(visits: list[Visit]) -> None:
    """P25: it is called off only when the last has left, and then another generation begins."""

    async def main() -> None:
        world = World(visits)
        ends = await asyncio.gather(*(world.visit(visit) for visit in visits))
        assert world.num_forwarded - world.num_aborted <= 1
        assert world.num_forwarded == generations(visits)
        assert {end[0].error for end in ends if end is not None} <= {""}
        bodies = {end[0].body for end in ends if end is not None and end[0].verdict != "hit"}
        assert len(bodies) <= 1

    run(main())


def generations(visits: list[Visit]) -> int:
    """How many fetches there have to be: one more each time that nobody was left before the answer was whole."""
    whole_after = 1.0 + 0.5 * (WORDS + 4)
    number, until, whole_at = 0, -1.0, float("inf")
    for visit in sorted(visits, key=lambda visit: visit.at):
        if visit.at >= until and until < whole_at:
            number, whole_at = number + 1, visit.at + whole_after
            until = -1.0
        until = max(until, visit.at + (visit.stays_s if visit.stays_s is not None else float("inf")))
    return number
