"""The plugin `mirror`: what a copy holds, which requests are copied, and how many copies there may be."""

from __future__ import annotations

import asyncio
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headgate.plugins.mirror import Mirror
from headgate.plugins.mirror.copies import Copies, Copy
from headgate.proxy.aside import AsideRequest, copied, kept_body
from headgate.proxy.config.header_edits import CREDENTIALS
from headgate.proxy.exchange.replay import ReplayBuffer
from headgate.proxy.hooks import load_type

from ...virtual_clock import run
from .exchanges import NoBody, make_exchange


def make_copy(body: bytes = b"", number: int = 0) -> Copy:
    return Copy(AsideRequest(b"POST", b"/%d" % number, "a", [], body), 1.0, None, None)


def test_it_is_a_plugin_of_the_contract() -> None:
    kind = load_type("mirror", EntryPoint("mirror", "headgate.plugins.mirror:Mirror", "headgate.plugins"))
    assert kind.stages == {"cache", "log"}


@given(st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), max_size=40), st.integers(1, 4))
def test_copies_stay_within_their_bounds(steps: list[tuple[int, bool]], max_parallel: int) -> None:
    """Whatever comes, and however late it is answered: so many at once, so many bytes, in their order."""
    max_bytes = 1 << 16

    async def main() -> None:
        release, sent, running = asyncio.Event(), list[Copy](), set[int]()

        async def send(copy: Copy) -> None:
            sent.append(copy)
            running.add(id(copy))
            assert len(running) <= max_parallel
            await release.wait()
            running.discard(id(copy))

        copies, taken = Copies(send, max_parallel, max_bytes), list[Copy]()
        for number, (size, is_released) in enumerate(steps):
            copy = make_copy(bytes(size), number)
            is_room = copies.held_bytes + copy.size_bytes <= max_bytes
            assert copies.offer(copy) is is_room
            taken += [copy] * is_room
            assert copies.held_bytes <= max_bytes
            assert copies.num_running <= max_parallel
            (release.set if is_released else release.clear)()
            await asyncio.sleep(0)
        release.set()
        while copies.num_running:  # noqa: ASYNC110 - each turn lets those that can end
            await asyncio.sleep(0)
        assert sent == taken
        assert copies.held_bytes == 0

    run(main())


def test_without_bodies_copies_are_bounded_too() -> None:
    async def main() -> None:
        async def send(copy: Copy) -> None:
            await asyncio.Event().wait()

        copies = Copies(send, 1, 1 << 16)
        assert sum(copies.offer(make_copy()) for _ in range(1000)) <= 32
        copies.close()
        await asyncio.sleep(0)

    run(main())


def test_the_end_gives_everything_up() -> None:
    async def main() -> None:
        ended: list[Copy] = []

        async def send(copy: Copy) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(copy)

        copies = Copies(send, 2, 1 << 20)
        made = [make_copy(b"x", number) for number in range(5)]
        assert all(map(copies.offer, made))
        await asyncio.sleep(0)
        copies.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sorted(copy.request.target for copy in ended) == [b"/0", b"/1"]
        assert (copies.held_bytes, copies.num_running) == (0, 0)

    run(main())


def test_a_copy_holds_what_travels_on_without_credentials() -> None:
    sent = (
        ("Accept", "a/b"),
        ("Authorization", "Bearer secret"),
        ("X-Goog-Api-Key", "secret"),
        ("Cookie", "session=secret"),
        ("X-Api-Key", "secret"),
        ("Connection", "close, x-hop"),
        ("X-Hop", "1"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Headgate-Mirror", "no"),
        ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Via", "1.0 edge"),
    )
    exchange = make_exchange(*sent)
    exchange.request.method = "POST"
    bare = copied(exchange, b"body", frozenset(name.encode() for name in CREDENTIALS))
    assert bare.fields == [
        (b"Accept", b"a/b"),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"gate.example"),
        (b"X-Request-Id", b"request-1"),
        (b"Traceparent", b""),
        (b"Via", b"1.0 edge, 1.1 headgate"),
        (b"X-Headgate-Mirror", b"1"),
        (b"Content-Length", b"4"),
    ]
    whole = copied(exchange, b"", frozenset())
    assert {(b"Authorization", b"Bearer secret"), (b"Cookie", b"session=secret")} <= set(whole.fields)


class Kept:
    """A body with its replay buffer."""

    length, is_empty = None, False

    def __init__(self, replay: ReplayBuffer) -> None:
        self.replay = replay

    async def read(self, limit_bytes: int) -> bytes:
        raise AssertionError("nothing is waited for")

    def arrived(self, limit_bytes: int) -> bytes | None:
        raise AssertionError("not asked")

    def replace(self, data: bytes) -> None:
        raise AssertionError("nothing is replaced")


def test_a_body_is_copied_only_where_it_was_kept_whole() -> None:
    replay = ReplayBuffer(4)
    replay.append(b"ab")
    assert kept_body(Kept(replay)) is None  # more may come
    replay.append(b"cd")
    replay.finish()
    assert kept_body(Kept(replay)) == b"abcd"
    large = ReplayBuffer(3)
    large.append(b"abcd")
    large.piece(0)
    large.finish()
    assert kept_body(Kept(large)) is None  # it was streamed
    assert kept_body(NoBody()) == b""


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "Field required"),
        ({"to": {"endpoints": []}}, "at least 1"),
        ({"to": {"endpoints": ["http://a:1/path"]}}, "without a path|wanted"),
        ({"to": {"endpoints": ["http://a:1"], "headers": {"set": {"authorization": "x"}}}}, "carries a credential"),
        ({"to": {"endpoints": ["http://a:1"]}, "max_parallel": 0}, "greater than or equal to 1"),
        ({"to": {"endpoints": ["http://a:1"]}, "max_held": 1}, "greater than or equal to"),
        ({"to": {"endpoints": ["http://a:1"]}, "timeout": "0s"}, "above zero"),
        ({"to": {"endpoints": ["http://a:1"]}, "share": 0.001}, "percentage"),
        ({"to": {"endpoints": ["http://a:1"]}, "cluster": "x"}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Mirror.Config.model_validate(settings)
