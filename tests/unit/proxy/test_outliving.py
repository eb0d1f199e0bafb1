"""An exchange that others want to go on, with its client and without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from headgate.proxy.downstream.shared_client import SharedClient
from headgate.proxy.downstream.writer import AnswerWriter
from headgate.proxy.errors import GatewayError
from headgate.proxy.outliving import outlive

from ...virtual_clock import run
from ..plugins.completion_cache.stand import PAUSED_BYTES, Reader


class Others:
    """Who else wants the answer, as the test says."""

    def __init__(self, *, are_waiting: bool = True, is_hurried: bool = True) -> None:
        self.are_waiting = are_waiting
        self.is_hurried = is_hurried
        self.max_behind_bytes = 1 << 20
        self.stop: Callable[[], None] | None = None

    def left(self, stop: Callable[[], None]) -> None:
        assert self.stop is None, "expected to be told once"
        self.stop = stop

    def completed(self) -> None: ...


class Shared:
    """A client, and an answer of `num_pieces` to it, one each second."""

    def __init__(self, others: Others, *, is_slow: bool = False, num_pieces: int = 3, size: int = 10) -> None:
        self.reader = Reader(is_slow=is_slow)
        self.num_left = 0
        self.client = SharedClient(self.reader, others, self._note_left)
        self.writer = AnswerWriter(self.reader, is_head=False, version=(1, 1), is_kept=True)
        self.writer.send_to(self.client)
        self.num_written = 0
        self._pieces = [b"x" * size] * num_pieces
        self.task = asyncio.create_task(outlive(self._answer(), self.client))
        self.reader.exchange_task = self.task

    def _note_left(self) -> None:
        self.num_left += 1

    async def _answer(self) -> None:
        self.writer.begin(200, "", [], None)
        for piece in self._pieces:
            await asyncio.sleep(1)
            await self.writer.write(piece)
            self.num_written += 1
        await self.writer.finish()


def test_client_that_stays_gets_all() -> None:
    async def main() -> None:
        shared = Shared(Others())
        await shared.task
        assert (shared.reader.body, shared.num_left) == (b"x" * 30, 0)

    run(main())


def test_answer_goes_on_without_its_client() -> None:
    async def main() -> None:
        others = Others()
        shared = Shared(others)
        await asyncio.sleep(1.5)
        shared.reader.leave()
        await shared.task  # not cancelled
        assert (shared.reader.body, shared.num_written, shared.num_left) == (b"x" * 10, 3, 1)
        assert shared.task.cancelling() == 0 and others.stop is not None

    run(main())


def test_loss_is_noticed_by_who_writes_first() -> None:
    async def main() -> None:
        shared = Shared(Others())
        await asyncio.sleep(1.5)
        shared.reader.is_gone = True  # nobody has cancelled the task yet
        await asyncio.sleep(1)
        assert (shared.num_written, shared.num_left) == (2, 1)
        shared.task.cancel()
        await shared.task
        assert (shared.num_written, shared.num_left) == (3, 1)

    run(main())


def test_answer_ends_with_the_last_who_wants_it() -> None:
    async def main() -> None:
        others = Others()
        shared = Shared(others)
        await asyncio.sleep(1.5)
        shared.reader.leave()
        await asyncio.sleep(0)
        assert others.stop is not None
        others.stop()
        with pytest.raises(asyncio.CancelledError):
            await shared.task
        assert shared.num_written == 1

    run(main())


@pytest.mark.parametrize("others", [Others(are_waiting=False), Others()], ids=["alone", "cut"])
def test_leaving_ends_what_nobody_wants_and_what_a_drain_cuts(others: Others) -> None:
    async def main() -> None:
        shared = Shared(others)
        await asyncio.sleep(1.5)
        shared.reader.is_cut = others.are_waiting
        shared.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await shared.task
        assert (shared.num_written, shared.num_left) == (1, 0)

    run(main())


def test_what_goes_wrong_is_told() -> None:
    async def main() -> None:
        async def failing() -> None:
            await asyncio.sleep(1)
            raise GatewayError("truncated", "the end is missing")

        client = SharedClient(Reader(), Others(), lambda: None)
        with pytest.raises(GatewayError, match="truncated"):
            await outlive(failing(), client)

    run(main())


def test_slow_client_is_waited_for_only_where_nobody_is_in_a_hurry() -> None:
    async def main() -> None:
        for is_hurried in (True, False):
            others = Others(are_waiting=False, is_hurried=is_hurried)
            shared = Shared(others, is_slow=True, size=PAUSED_BYTES)
            await asyncio.sleep(10)
            assert shared.num_written == (3 if is_hurried else 0)
            shared.reader.read_on()
            others.is_hurried = False
            await asyncio.wait_for(shared.task, 10)
            assert len(shared.reader.body) == 3 * PAUSED_BYTES

    run(main())


def test_client_far_behind_is_given_up_for_others_only() -> None:
    async def main() -> None:
        for are_waiting in (True, False):
            others = Others(are_waiting=are_waiting)
            others.max_behind_bytes = 2 * PAUSED_BYTES
            shared = Shared(others, is_slow=True, num_pieces=5, size=PAUSED_BYTES)
            await asyncio.sleep(10)
            assert shared.num_written == 5
            assert shared.reader.is_gone is are_waiting
            assert len(shared.reader.data) < (3 if are_waiting else 6) * PAUSED_BYTES
            shared.reader.read_on()
            await shared.task

    run(main())
