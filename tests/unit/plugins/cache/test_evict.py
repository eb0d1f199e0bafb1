"""Answers that an operator gives up."""

from __future__ import annotations

import asyncio

import pytest

from ....virtual_clock import run
from .stand import Ask, Origin, Stand

VARYING = Origin((("Cache-Control", "max-age=60"), ("Vary", "X-Kind")))
HELD = {
    "/a": Ask(),
    "/a?x": Ask(target="/a?x"),
    "/a/b": Ask(target="/a/b"),
    "/c": Ask(target="/c"),
    "other host": Ask(host="other.test"),
    "http": Ask(scheme="http"),
    "of t": Ask(tenant="t"),
    "of t, /c": Ask(target="/c", tenant="t"),
    "of u": Ask(tenant="u"),
    "other route": Ask(route="other"),
    "kind": Ask((("X-Kind", "1"),)),
}


def left_after(**arguments: str) -> tuple[object, set[str]]:
    """Return what a call tells, and what is not given up by it."""

    async def play() -> tuple[object, set[str]]:
        stand = Stand()
        for ask in HELD.values():
            await stand.ask(ask, VARYING)
        told = stand.cache.operate("evict", arguments)
        left = {name for name, ask in HELD.items() if not (await stand.ask(ask, Origin(()))).is_forwarded}
        assert len(stand.cache.shelf.memory) == len(left)
        return told["evicted"], left

    return run(play())


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        ({"url": "https://origin.test/a"}, {"/a", "of t", "of u", "other route", "kind"}),
        ({"url": "HTTPS://Origin.test:443/a#part"}, {"/a", "of t", "of u", "other route", "kind"}),
        ({"url": "https://origin.test/a?x"}, {"/a?x"}),
        ({"url": "https://origin.test/none"}, set()),
        ({"url": "http://origin.test/a"}, {"http"}),
        ({"prefix": "https://origin.test/a/"}, {"/a/b"}),
        ({"prefix": "https://origin.test/c"}, {"/c", "of t, /c"}),
        ({"prefix": "/c"}, {"/c", "of t, /c"}),
        ({"prefix": "/"}, set(HELD)),
        ({"tenant": "t"}, {"of t", "of t, /c"}),
        ({"tenant": "nobody"}, set()),
        ({"tenant": "t", "prefix": "/c"}, {"of t, /c"}),
        ({"route": "other"}, {"other route"}),
        ({"route": "none"}, set()),
        ({"route": "main", "tenant": "t"}, {"of t", "of t, /c"}),
        ({"tenant": "t", "url": "https://origin.test/a"}, {"of t"}),
        ({"all": "true"}, set(HELD)),
    ],
)
def test_what_is_meant_goes_and_nothing_else(arguments: dict[str, str], gone: set[str]) -> None:
    assert left_after(**arguments) == (len(gone), set(HELD) - gone)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "got none"),
        ({"uri": "https://origin.test/a"}, "got uri"),
        ({"url": "/a"}, "expected `url`"),
        ({"url": "ftp://origin.test/a"}, "expected `url`"),
        ({"url": "https:///a"}, "expected `url`"),
        ({"url": "https://[origin/a"}, "expected `url`"),
        ({"prefix": "a"}, "expected `prefix`"),
        ({"all": "yes"}, "`all=true` alone"),
        ({"all": "true", "tenant": "t"}, "`all=true` alone"),
    ],
)
def test_what_is_not_clear_is_refused_and_gives_nothing_up(arguments: dict[str, str], error: str) -> None:
    async def play() -> None:
        stand = Stand()
        await stand.ask(Ask(), Origin())
        with pytest.raises(ValueError, match=error):
            stand.cache.operate("evict", arguments)
        assert not (await stand.ask(Ask())).is_forwarded

    run(play())


def test_other_actions_are_refused() -> None:
    async def play() -> None:
        with pytest.raises(ValueError, match="expected the action `evict`, got 'fill'"):
            Stand().cache.operate("fill", {})

    run(play())


def test_what_is_on_its_way_is_not_stored() -> None:
    async def play() -> None:
        stand = Stand()
        meant = asyncio.ensure_future(stand.ask(Ask(), Origin(delay_s=5.0)))
        other = asyncio.ensure_future(stand.ask(Ask(target="/b"), Origin(delay_s=5.0)))
        await asyncio.sleep(1)
        assert stand.cache.operate("evict", {"prefix": "/a"}) == {"evicted": 0}
        await asyncio.gather(meant, other)
        assert (await stand.ask(Ask())).is_forwarded
        assert not (await stand.ask(Ask(target="/b"))).is_forwarded

    run(play())
