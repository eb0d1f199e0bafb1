"""RFC 9111 sentence by sentence: a first request fills the cache, a second shows what it does with that."""

from __future__ import annotations

import asyncio

import pytest

from ....virtual_clock import run
from .rfc9111_case import Case
from .rfc9111_freshness import AGE, FRESHNESS
from .rfc9111_requests import CONDITIONS, HEADS, INVALIDATION, REQUEST
from .rfc9111_storing import AUTHORIZATION, STATUSES, STORING, VARYING
from .stand import Origin, Seen, Stand

GROUPS = {
    "storing": STORING,
    "status": STATUSES,
    "authorization": AUTHORIZATION,
    "vary": VARYING,
    "freshness": FRESHNESS,
    "age": AGE,
    "request": REQUEST,
    "condition": CONDITIONS,
    "head": HEADS,
    "invalidation": INVALIDATION,
}
TABLE = {f"{group}/{case.name}": case for group, cases in GROUPS.items() for case in cases}


async def play(case: Case) -> Seen:
    stand = Stand(**case.config)
    await stand.ask(case.ask, case.origin)
    if case.between is not None:
        await stand.ask(*case.between)
    await asyncio.sleep(case.wait_s)
    return await stand.ask(case.again, Origin((), 299, (b"anew",)))


def outcome(seen: Seen) -> str:
    if seen.is_forwarded:
        return "forwarded"
    return "hit" if seen.verdict == "hit" and seen.status != 304 else str(seen.status)


@pytest.mark.parametrize("name", TABLE)
def test_cache_follows_the_rfc(name: str) -> None:
    case = TABLE[name]
    seen = run(play(case))
    assert outcome(seen) == case.then, case.source
    for field_name, value in case.shows:
        assert (seen.fields.get(field_name) or "") == value, case.source
    is_head = case.again.method == "HEAD"
    if case.then == "hit":
        assert seen.status == case.origin.status
        assert seen.body == (b"" if is_head else b"".join(case.origin.pieces))
    elif case.then == "forwarded" and not is_head:
        assert (seen.status, seen.body) == (299, b"anew")


def test_table_names_each_case_once_with_its_source() -> None:
    assert len(TABLE) == sum(len(cases) for cases in GROUPS.values()) >= 60
    assert all(case.source for case in TABLE.values())
