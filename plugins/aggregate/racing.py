"""The first good answer, as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from ...proxy.exchange.message import Response
from ...proxy.relay import close_body
from .branch import Branch
from .choosing import nobody
from .gather import Gathering
from .report import mark


async def race(gathering: Gathering, on_end: Callable[[], None]) -> Response:
    """Return the first good answer, or the least bad one; the others are closed. `on_end`: its body has ended.

    Raises: GatewayError where nobody answered, or for what the client did.
    """
    try:
        await gathering.run()
        chosen = _chosen(gathering)
    except BaseException:
        await _close(gathering, None)
        raise
    await _close(gathering, chosen)
    if chosen is None or chosen.answer is None:
        raise nobody(gathering.branches)
    answer = chosen.answer
    answer.fields.set("x-headgate-target", chosen.target.name)
    if not isinstance(answer.body, bytes):
        answer.body = Watched(answer.body, on_end)
    return mark(answer, gathering.branches)


class Heads:
    """Leaves the bodies of answers where they are: whether they are wanted is known later."""

    async def take(self, branch: Branch, answer: Response) -> None:
        """Be content with the head."""

    def ended(self, branch: Branch) -> None:
        """Nothing is to be done."""


def _chosen(gathering: Gathering) -> Branch | None:
    answered = [branch for branch in gathering.branches if branch.status is not None]
    good = [branch for branch in answered if branch.is_ok]
    return good[0] if good else min(answered, key=lambda branch: branch.status or 0, default=None)


async def _close(gathering: Gathering, chosen: Branch | None) -> None:
    for branch in gathering.branches:
        if branch.answer is not None and branch is not chosen:
            await close_body(branch.answer.body)


class Watched:
    """A streamed body; it tells when it was read to its end or given up."""

    __slots__ = ("_body", "_on_end")

    def __init__(self, body: AsyncIterator[bytes], on_end: Callable[[], None]) -> None:
        self._body = body
        self._on_end = on_end

    def __aiter__(self) -> Watched:
        return self

    async def __anext__(self) -> bytes:
        return await self._body.__anext__()

    async def aclose(self) -> None:
        """Give the source back."""
        try:
            await close_body(self._body)
        finally:
            self._on_end()
