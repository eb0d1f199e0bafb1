"""What the machines of all laws have: a virtual clock, and tasks that run on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from ...proxy.exchange.exchange import Exchange
from .stage_run import StageRun, hooks_of, run_hook
from .virtual_clock import VirtualClockLoop

Result = TypeVar("Result")
_TURNS = 8  # of the loop, in which whatever can go on without time passing does so


class LawMachine(RuleBasedStateMachine):
    """A plugin on a virtual clock. `plugin` is the instance; `failures` what its own code raised."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualClockLoop()
        self.failures: list[Exception] = []
        self.plugin = self.loop.run_until_complete(self._made())
        self._hooks = hooks_of(self.plugin)

    def make(self) -> Any:
        """Return a new plugin, as `make_plugin` makes it. Runs inside the loop."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method `make` that returns the plugin")

    async def _made(self) -> Any:
        return self.make()

    @property
    def now(self) -> float:
        """The virtual instant."""
        return self.loop.time()

    def begin(self, stage: str, exchange: Exchange) -> asyncio.Task[StageRun]:
        """Ask the plugin; the task is done where it did not have to wait."""
        task = self.loop.create_task(run_hook(self._hooks, stage, exchange))
        self.let_run()
        return task

    def show(self, stage: str, exchange: Exchange, shown: object) -> None:
        """Show the plugin something, where it has a hook for it."""
        if stage in self._hooks:
            self.check_run(self.loop.run_until_complete(run_hook(self._hooks, stage, exchange, shown)))

    def let_run(self, seconds: float = 0.0) -> None:
        """Let time pass, and then everything run that can."""
        self.loop.run_until_complete(_turns(seconds))

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something to its end."""
        return self.loop.run_until_complete(work)

    def guarded(self, call: Callable[..., Result]) -> Callable[..., Result]:
        """Return `call`, of which a failure is noted before the gateway's own code swallows it."""

        def noted(*arguments: Any) -> Result:
            try:
                return call(*arguments)
            except Exception as error:
                self.failures.append(error)
                raise

        return noted

    def check_run(self, run: StageRun) -> None:
        """Hold the outcome of a hook to the law that it does not fail."""
        assert run.num_failures == 0, "a hook neither raises nor answers wrongly: see the log above"

    def check_failures(self) -> None:
        """Hold what the plugin handed out to the law that it does not fail."""
        assert not self.failures, f"what a plugin hands out does not raise: {self.failures[0]!r}"

    def teardown(self) -> None:
        """End what is still under way."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.let_run()
        self.loop.close()


async def _turns(seconds: float) -> None:
    await asyncio.sleep(seconds)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
