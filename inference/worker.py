"""The one thread that runs the model, and the jobs that wait for it.

Handlers on the event loop submit jobs and read their steps; the thread takes jobs in order. How many may wait is the
business of admission.py. A job's unread steps are bounded by its max_tokens, so the thread never waits for a reader:
a slow client cannot hold up the others.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from .generate import GenerationRequest, ReplayDiverged, Step, generate
from .model import Deepseek
from .tokenizer import Tokenizer

_log = logging.getLogger("headgate.inference")


class GenerationFailed(Exception):
    """The model could not go on; the reason stands in the log."""


@dataclass(slots=True, eq=False)
class Job:
    """One generation asked for by a handler; an exception in place of a step means that it failed."""

    request: GenerationRequest
    steps: asyncio.Queue[Step | GenerationFailed | ReplayDiverged] = field(default_factory=asyncio.Queue)
    is_cancelled: bool = False

    async def next_step(self, deadline: float | None) -> Step:
        """Wait for the next step until an instant of the event loop's clock.

        Raises: GenerationFailed, ReplayDiverged, TimeoutError.
        """
        async with asyncio.timeout_at(deadline):
            step = await self.steps.get()
        if isinstance(step, Exception):
            raise step
        return step


_Publish = Callable[[Step | GenerationFailed | ReplayDiverged], None]


class Worker:
    """Runs one job at a time, oldest first."""

    def __init__(self, model: Deepseek, tokenizer: Tokenizer, threads: int = 1) -> None:
        self._model, self._tokenizer, self._threads = model, tokenizer, threads
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._running: Job | None = None
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self.generated_tokens = 0
        self.replayed_tokens = 0

    @property
    def waiting_count(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @property
    def is_running(self) -> bool:
        """Tell whether a job is being generated."""
        return self._running is not None

    @property
    def is_alive(self) -> bool:
        """Tell whether the thread can take jobs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; its steps go to the running event loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="model", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cancel everything and end the thread, after the token it is at."""
        with self._changed:
            self._is_stopping = True
            self._waiting.clear()
            if self._running is not None:
                self._running.is_cancelled = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def submit(self, request: GenerationRequest) -> Job:
        """Queue a generation."""
        job = Job(request)
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        return job

    def cancel(self, job: Job) -> None:
        """Give the job up: a waiting one leaves the queue, a running one stops within one token.

        Cost: O(waiting).
        """
        with self._changed:
            job.is_cancelled = True
            if job in self._waiting:
                self._waiting.remove(job)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        torch.set_num_threads(self._threads)
        while (job := self._take()) is not None:
            publish = _publisher(loop, job)
            try:
                self._generate(job, publish)
            except ReplayDiverged as error:
                _log.warning("a resumed stream goes on otherwise here: %s", error)
                publish(error)
            except Exception:
                # One request's failure must not end the thread that serves all others.
                _log.exception("generation failed")
                publish(GenerationFailed("the model failed on this request"))

    def _take(self) -> Job | None:
        """Wait for the next job; None once stopping."""
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: self._is_stopping or bool(self._waiting))
            if self._is_stopping:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _generate(self, job: Job, publish: _Publish) -> None:
        steps = generate(self._model, self._tokenizer, job.request, lambda: job.is_cancelled)
        for count, step in enumerate(steps, 1):
            if count <= len(job.request.replay):
                self.replayed_tokens += 1
            else:
                self.generated_tokens += 1
            publish(step)


def _publisher(loop: asyncio.AbstractEventLoop, job: Job) -> _Publish:
    def publish(step: Step | GenerationFailed | ReplayDiverged) -> None:
        try:
            loop.call_soon_threadsafe(job.steps.put_nowait, step)
        except RuntimeError:
            # The loop closed under a running job: nobody is left to read.
            job.is_cancelled = True

    return publish
