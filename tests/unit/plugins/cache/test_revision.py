"""Confirmations that come while others ask, change or wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ....virtual_clock import run
from .stand import Ask, Origin, Seen, Stand

FRESH = ("Cache-Control", "max-age=60")
ONE, TWO = ("ETag", '"v1"'), ("ETag", '"v2"')
OLD = Origin((FRESH, ONE), pieces=(b"old",))
NEW = Origin((FRESH, TWO), pieces=(b"new",))
NO_CACHE = Ask((("Cache-Control", "no-cache"),))


def confirmed_after(delay_s: float, *fields: tuple[str, str]) -> Origin:
    return Origin((ONE, *fields), 304, (), delay_s=delay_s)


async def stale_stand(stored: Origin = OLD) -> Stand:
    stand = Stand()
    await stand.ask(Ask(), stored)
    await asyncio.sleep(61)
    return stand


async def all_at_once(stand: Stand, num: int, origin: Origin) -> Sequence[Seen]:
    return await asyncio.gather(*(stand.ask(Ask(), origin) for _ in range(num)))


def test_late_confirmation_does_not_replace_a_newer_answer() -> None:
    async def play() -> None:
        stand = await stale_stand()
        late = asyncio.ensure_future(stand.ask(Ask(), confirmed_after(10)))
        await asyncio.sleep(1)
        assert (await stand.ask(NO_CACHE, NEW)).body == b"new"
        assert (await late).body == b"old"
        seen = await stand.ask(Ask())
        assert (seen.is_forwarded, seen.body) == (False, b"new")

    run(play())


@pytest.mark.parametrize("is_changed", [True, False], ids=["changed", "given up"])
def test_confirmation_of_what_is_gone_is_not_stored(is_changed: bool) -> None:
    async def play() -> None:
        stand = await stale_stand()
        late = asyncio.ensure_future(stand.ask(Ask(), confirmed_after(10)))
        await asyncio.sleep(1)
        if is_changed:
            await stand.ask(Ask(method="PUT", body=b"x"), Origin((), 204, ()))
        else:
            stand.cache.operate("evict", {"all": "true"})
        assert (await late).verdict == "revalidated"
        assert len(stand.cache.shelf.memory) == 0
        assert (await stand.ask(Ask(), NEW)).is_forwarded

    run(play())


def test_late_head_does_not_renew_a_newer_answer() -> None:
    async def play() -> None:
        stand = await stale_stand()
        late = asyncio.ensure_future(stand.ask(Ask(method="HEAD"), Origin((FRESH, ONE), pieces=(b"old",), delay_s=10)))
        await asyncio.sleep(1)
        await stand.ask(Ask(), NEW)
        await late
        seen = await stand.ask(Ask())
        assert (seen.is_forwarded, seen.body, seen.fields["age"]) == (False, b"new", "9")

    run(play())


def test_one_confirmation_serves_all_who_wait() -> None:
    async def play() -> None:
        stand = await stale_stand()
        all_seen = await all_at_once(stand, 5, confirmed_after(2, FRESH))
        assert [seen.body for seen in all_seen] == [b"old"] * 5
        assert [seen.is_forwarded for seen in all_seen].count(True) == 1

    run(play())


def test_what_is_never_fresh_is_confirmed_for_each() -> None:
    async def play() -> None:
        stand = await stale_stand(Origin((("Cache-Control", "no-cache"), ONE), pieces=(b"old",)))
        for _ in range(2):
            all_seen = await all_at_once(stand, 5, confirmed_after(2))
            assert [(seen.body, seen.is_forwarded) for seen in all_seen] == [(b"old", True)] * 5
        assert all_seen[0].ended_at - all_seen[0].began_at == all_seen[-1].ended_at - all_seen[-1].began_at == 2

    run(play())


def test_nothing_is_left_behind_whatever_comes_of_it() -> None:
    async def play() -> None:
        for origin in (confirmed_after(0), NEW, Origin(status=503), Origin(end="error"), Origin((FRESH,), end="cut")):
            stand = await stale_stand()
            await stand.ask(Ask(), origin)
            await stand.ask(NO_CACHE, origin)
            await stand.ask(Ask(method="HEAD"), origin)
            shelf = stand.cache.shelf
            assert (len(shelf.open), len(shelf.flights), shelf.memory.reserved_bytes) == (0, 0, 0)

    run(play())
