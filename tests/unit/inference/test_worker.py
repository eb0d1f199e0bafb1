"""The model's thread: order, cancellation, and that one failure does not end it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headgate.inference.generate import FinishReason, GenerationRequest, ReplayDiverged
from headgate.inference.model import Deepseek
from headgate.inference.sampler import Sampling
from headgate.inference.tokenizer import Tokenizer
from headgate.inference.worker import GenerationFailed, Job, Worker

SHORT = GenerationRequest((1, 2), 3, Sampling())
LONG = GenerationRequest((1, 2), 1500, Sampling())
BROKEN = GenerationRequest((10**6,), 3, Sampling())
BOUND_S = 20


@asynccontextmanager
async def _started(model: Deepseek, tokenizer: Tokenizer) -> AsyncIterator[Worker]:
    worker = Worker(model, tokenizer)
    worker.start()
    try:
        async with asyncio.timeout(BOUND_S):
            yield worker
    finally:
        worker.stop()


async def _finish(job: Job) -> int:
    count = 1
    while (await job.next_step(None)).finish_reason is None:
        count += 1
    return count


def test_jobs_run_one_after_another_in_order(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            ended: list[int] = []
            jobs = [worker.submit(SHORT) for _ in range(4)]

            async def follow(index: int) -> None:
                assert await _finish(jobs[index]) == 3
                ended.append(index)

            await asyncio.gather(*(follow(index) for index in reversed(range(4))))
            assert ended == [0, 1, 2, 3]
            assert worker.generated_tokens == 12

    asyncio.run(main())


def test_cancelled_job_stops_and_gives_way(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            first = worker.submit(LONG)
            await first.next_step(None)
            waiting, last = worker.submit(LONG), worker.submit(SHORT)
            assert (worker.is_running, worker.waiting_count) == (True, 2)
            worker.cancel(waiting)
            assert worker.waiting_count == 1
            worker.cancel(first)
            assert await _finish(last) == 3
            assert waiting.steps.empty()
            assert worker.generated_tokens < LONG.max_tokens

    asyncio.run(main())


def test_failed_generation_is_told_and_the_next_one_runs(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            broken, sound = worker.submit(BROKEN), worker.submit(SHORT)
            with pytest.raises(GenerationFailed):
                await broken.next_step(None)
            assert await _finish(sound) == 3
            assert worker.is_alive

    asyncio.run(main())


def test_replayed_tokens_are_counted_apart(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            job = worker.submit(SHORT)
            steps = [await job.next_step(None) for _ in range(3)]
            replay = tuple(step.token for step in steps[:2])
            again = worker.submit(dataclasses.replace(SHORT, replay=replay))
            assert [await again.next_step(None) for _ in range(3)] == steps
            assert (worker.generated_tokens, worker.replayed_tokens) == (4, 2)

    asyncio.run(main())


def test_replay_that_diverges_is_told_apart_and_the_next_job_runs(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            wrong, sound = worker.submit(dataclasses.replace(SHORT, replay=(10**6,))), worker.submit(SHORT)
            with pytest.raises(ReplayDiverged, match="token 1: expected 1000000 as delivered"):
                await wrong.next_step(None)
            assert await _finish(sound) == 3
            assert (worker.generated_tokens, worker.replayed_tokens) == (3, 0)

    asyncio.run(main())


def test_waiting_for_a_step_ends_at_the_deadline(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            first = worker.submit(LONG)
            await first.next_step(None)
            waiting = worker.submit(SHORT)
            with pytest.raises(TimeoutError):
                await waiting.next_step(asyncio.get_running_loop().time() + 0.01)
            worker.cancel(first)

    asyncio.run(main())


def test_unread_steps_are_bounded_by_max_tokens(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            unread, after = worker.submit(SHORT), worker.submit(SHORT)
            # The second job ends although nobody reads the first one.
            assert await _finish(after) == 3
            assert unread.steps.qsize() == SHORT.max_tokens

    asyncio.run(main())


def test_stopping_cancels_what_runs_and_what_waits(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            running = worker.submit(LONG)
            await running.next_step(None)
            worker.submit(LONG)
            await asyncio.to_thread(worker.stop)
            assert not worker.is_alive
            assert worker.waiting_count == 0
            assert worker.generated_tokens < LONG.max_tokens

    asyncio.run(main())


def test_finish_reason_arrives_with_the_last_step(model: Deepseek, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with _started(model, tokenizer) as worker:
            job = worker.submit(SHORT)
            reasons = [(await job.next_step(None)).finish_reason for _ in range(3)]
            assert reasons == [None, None, FinishReason.LENGTH]

    asyncio.run(main())
