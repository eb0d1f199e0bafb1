"""What one request has reserved, up to its settlement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from ...proxy.verdicts import Reject, Settlement, StreamUsage
from .amounts import Amounts
from .estimate import Estimate, used
from .ledger import Ask, Ledger, Over, Standing
from .lock import BusyError

AHEAD_TOKENS = 64  # reserved at once by a stream that outgrows its reservation, where there are so many


class Tally(Protocol):
    """Whoever adds up what requests reserve and take."""

    def grown(self, more: Amounts) -> None:
        """More was reserved."""

    def stopped(self, standings: Sequence[Standing], over: Over) -> Reject:
        """A stream ends at these limits: say why."""

    def settled(self, reserved: Amounts, taken: Amounts) -> None:
        """What was reserved has come to this."""


class Reserved:
    """What one request has reserved."""

    __slots__ = ("_ledger", "_reserved", "_standings", "_tally", "_told")

    def __init__(self, tally: Tally, ledger: Ledger, standings: tuple[Standing, ...], told: Estimate) -> None:
        self._tally = tally
        self._ledger: Ledger | None = ledger
        self._standings = standings
        self._told = told
        self._reserved = told.amounts

    def settle(self, settlement: Settlement) -> None:
        """Charge what was used in place of what was reserved. A second time does nothing."""
        ledger, self._ledger = self._ledger, None
        if ledger is None:
            return
        reserved, taken = self._reserved, self._taken(settlement)
        self._tally.settled(reserved, taken)
        if taken != reserved:
            ledger.settle(self._standings, reserved, taken)

    def _taken(self, settlement: Settlement) -> Amounts:
        return used(self._told, settlement)


class Growing(Reserved):
    """What one request has reserved whose stream may reserve more while it comes.

    An event with a piece of the answer is passed on only where all that was used with it is reserved. What the service
    tells without such a piece, as the usage behind the last one, withholds nothing: the answer was given.
    """

    __slots__ = ("_asks", "_completion", "_is_metered", "_now", "_num_events", "_prompt")

    def __init__(
        self,
        tally: Tally,
        ledger: Ledger,
        standings: tuple[Standing, ...],
        told: Estimate,
        asked: tuple[Sequence[Ask], Callable[[], float]],
    ) -> None:
        """`asked`: the accounts of the standings with their limits, and the wall clock."""
        super().__init__(tally, ledger, standings, told)
        self._asks, self._now = asked
        self._is_metered = False
        self._num_events = 0  # of what was passed on, as are the tokens
        self._prompt: int | None = None
        self._completion: int | None = None

    def meter(self, usage: StreamUsage) -> Reject | None:
        """See what the stream has come to; refuse its next event where there is nothing left for that."""
        num_events, prompt, completion = usage.num_events, usage.prompt_tokens, usage.completion_tokens
        self._is_metered = True
        if num_events > self._num_events:
            taken, reserved = self._told.taken(prompt, completion, num_events), self._reserved
            if taken.tokens > reserved.tokens or taken.cost > reserved.cost:
                refusal = self._grow(prompt, completion, num_events)
                if refusal is not None:
                    return refusal
        self._num_events, self._prompt, self._completion = num_events, prompt, completion
        return None

    def _grow(self, prompt: int | None, completion: int | None, num_events: int) -> Reject | None:
        """Reserve some events ahead, or else for this one alone; a Reject where that is too much."""
        ledger = self._ledger
        over: Over = ()
        if ledger is None:  # settled: nothing is charged any more, so nothing is to be given
            return Reject("quota_exceeded", detail="the stream went on behind its settlement")
        for ahead in (AHEAD_TOKENS, 0):
            wanted = self._told.taken(prompt, completion, num_events, ahead)
            reserved = self._reserved
            more = Amounts(0, max(0, wanted.tokens - reserved.tokens), max(0, wanted.cost - reserved.cost))
            try:
                over = ledger.grow(self._asks, self._standings, more, self._now())
            except BusyError as error:
                return Reject("stage_unavailable", detail=str(error))
            if not over:
                self._reserved = Amounts(1, reserved.tokens + more.tokens, reserved.cost + more.cost)
                self._tally.grown(more)
                return None
        return self._tally.stopped(self._standings, over)

    def _taken(self, settlement: Settlement) -> Amounts:
        if self._is_metered:  # whoever reads the stream was ahead of what was given
            prompt, completion = self._prompt, self._completion
            given = replace(settlement, prompt_tokens=prompt, completion_tokens=completion, num_events=self._num_events)
            return used(self._told, given)
        taken, reserved = used(self._told, settlement), self._reserved
        if settlement.completion_tokens is not None:
            return taken
        return Amounts(taken.requests, min(taken.tokens, reserved.tokens), min(taken.cost, reserved.cost))
