"""Keeps requests away from a target that fails, and finds out when it works again.

| state     | what happens                                                | becomes                      |
|-----------|-------------------------------------------------------------|------------------------------|
| closed    | `failures` failures in a row                                | open                         |
| closed    | so many refusals, and nothing else for `refusing_s`         | open                         |
| open      | an attempt is admitted once the next probe is due           | half_open                    |
| open      | an attempt that was made all the same (`forced`) succeeds   | closed                       |
| half_open | the probe succeeds                                          | ramping                      |
| half_open | the probe fails or is refused; the next waits for longer    | open                         |
| half_open | the probe is abandoned; another one is due at once          | open                         |
| ramping   | an attempt fails, or refusals as when closed                | open                         |
| ramping   | an attempt that was made all the same succeeds              | closed                       |
| ramping   | the last step of the ramp is over                           | closed                       |

A refusal is the word of a target that it does no work now, and for how long it does not say. One that is full says so
of some requests while it works on others; one that is out of order says it of all. So refusals are counted apart, and
open the breaker only if for `refusing_s` nothing else was heard, and nothing is under way that was taken before them.

What must never happen: more than one probe at a time; an attempt that began in one state counted in a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum, StrEnum, auto


class Admission(StrEnum):
    """What a breaker says to an attempt.

    `CLOSED` and `RAMPED`: go on. `PROBE`: go on, this attempt is the one that finds out, and its end must be reported.
    `OPEN`: ask other targets first.
    """

    CLOSED = auto()
    PROBE = auto()
    RAMPED = auto()
    OPEN = auto()


class BreakerState(IntEnum):
    """Where a breaker stands; the numbers are those of the metric."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2
    RAMPING = 3


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens, and how it closes again.

    `probes_s` are the waits before the first, second, … probe; the last one repeats. `ramp` are the shares of the
    traffic after a successful probe, each for `ramp_step_s`; without any the breaker closes at once. For
    `refusing_s` a target may do nothing but refuse.
    """

    failures: int = 2
    probes_s: tuple[float, ...] = (10.0, 20.0, 30.0)
    ramp: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    ramp_step_s: float = 2.0
    refusing_s: float = 1.0


# An enumeration's members are slow to look up, and these are asked for with every request.
_CLOSED, _OPEN, _HALF_OPEN, _RAMPING = BreakerState
_IN_USE = frozenset({_CLOSED, _RAMPING})
_GO_ON = Admission.CLOSED


def _one(now: float) -> int:
    return 1


class Breaker:
    """The breaker of one target.

    `ticket` tells in which state the attempt admitted last began. It is to be read right after `admit` or `forced` and
    handed back with the report, so that late reports of old attempts are recognised; without it a report is taken to
    be of an attempt that began in the present state.

    `num_members` returns how many healthy endpoints the target has. Where reports name the endpoint, failures in a row
    must come from `failures` of them (or from all): one bad endpoint among good ones does not open the breaker.

    `is_calm`: it is closed, and nothing counts against the target. Then `admit` answers `CLOSED` and `succeeded`
    changes nothing, and whoever asks often need not call them. `num_under_way` is kept by whoever asks: how many were
    admitted, and are not reported yet.
    """

    __slots__ = (
        "_began",
        "_credit",
        "_due",
        "_failed_members",
        "_num_before",
        "_num_failed_probes",
        "_num_failures",
        "_num_members",
        "_num_refusals",
        "_probe",
        "_ramp_since",
        "_refusing_since",
        "_refusing_ticket",
        "_settings",
        "_state",
        "is_calm",
        "num_under_way",
        "ticket",
    )
    # Known from the first refusal of a row on.
    _refusing_since: float
    _refusing_ticket: int  # the first one given after it
    _num_before: int  # attempts under way that began before it
    # Known from the first opening on, or from the first probe, or from the first ramp.
    _num_failed_probes: int
    _due: float  # when a probe may go
    _probe: int  # its ticket
    _ramp_since: float
    _credit: float

    def __init__(self, settings: BreakerSettings, num_members: Callable[[float], int] = _one) -> None:
        if settings.failures < 1 or not settings.probes_s:
            raise ValueError(f"expected at least one failure and one wait before a probe, got {settings}")
        self._settings = settings
        self._num_members = num_members
        self._state = _CLOSED
        self._num_failures = 0
        self._num_refusals = 0
        self._failed_members: set[Hashable] = set()  # of the failures in a row; bounded by the endpoints
        self._began = 0  # the first ticket that counts in the present state
        self.is_calm = True
        self.num_under_way = 0
        self.ticket = 0

    def state(self, now: float) -> BreakerState:
        """Return the state at `now`."""
        settings = self._settings
        if self._state is _RAMPING and self._step(now) >= len(settings.ramp):
            return _CLOSED
        return self._state

    def peek(self, now: float) -> Admission:
        """Return what `admit` would answer; nothing changes."""
        state = self.state(now)
        if state is _CLOSED:
            return Admission.CLOSED
        if state is _RAMPING:
            return Admission.RAMPED if self._has_share(now) else Admission.OPEN
        return Admission.PROBE if now >= self._due else Admission.OPEN

    def admit(self, now: float) -> Admission:
        """Ask for one attempt. Anything but `OPEN` lets it through; its end is then to be reported."""
        if self._state is _RAMPING:
            self._settle(now)
        if self._state is _CLOSED:
            return _GO_ON
        if self._state is _RAMPING:
            return self._ramped(now)
        if now < self._due:
            return Admission.OPEN
        self._state = _HALF_OPEN
        self.ticket += 1
        self._probe = self.ticket
        # A probe that takes longer than the longest wait no longer holds up the next one.
        self._due = now + self._settings.probes_s[-1]
        return Admission.PROBE

    def forced(self, now: float) -> None:
        """Let an attempt through although the breaker is open, as where every target of the route is."""
        self._settle(now)
        if self._state is not _CLOSED:
            self.ticket += 1

    def succeeded(self, now: float, ticket: int | None = None, *, is_forced: bool = False) -> None:
        """An attempt succeeded, or one that was to find out has begun to. `is_forced`: it was made all the same."""
        self._settle(now)
        self._num_refusals = 0  # it works, whenever that was begun
        if self._is_stale(ticket):
            return
        if self._state is _CLOSED:
            self._num_failures = 0
            self._failed_members.clear()
            self.is_calm = True
        elif self._is_probe(ticket):
            self._close(_RAMPING if self._settings.ramp else _CLOSED)
            self._ramp_since = now
        elif is_forced or self._state is not _RAMPING:
            self._close(_CLOSED)

    def failed(self, now: float, ticket: int | None = None, member: Hashable = None) -> None:
        """An attempt failed by the fault of the target. `member` is the endpoint that was asked."""
        self._settle(now)
        self._leave(ticket)
        if self._is_stale(ticket):
            return
        if self._state is _CLOSED:
            self._count(now, member)
        elif self._state is _RAMPING:
            self._open(now)
        elif self._is_probe(ticket):
            self._num_failed_probes += 1
            waits = self._settings.probes_s
            self._state = _OPEN
            self._due = now + waits[min(self._num_failed_probes, len(waits) - 1)]

    def answers(self, now: float, ticket: int | None = None, *, is_forced: bool = False) -> None:
        """The target has begun to answer an attempt: it does not only refuse.

        Where it is out of order that is all that an attempt had to find out which was made all the same (`is_forced`).
        Of one in order only whole answers make good what failed.
        """
        self._settle(now)
        self._num_refusals = 0
        if is_forced and self._state is not _CLOSED:
            self.succeeded(now, ticket, is_forced=True)

    def refused(self, now: float, ticket: int | None = None) -> None:
        """The target refused an attempt, and did not say for how long."""
        self._settle(now)
        if self._is_probe(ticket):
            self.failed(now, ticket)
            return
        self._leave(ticket)
        if self._is_stale(ticket) or self._state not in _IN_USE:
            return
        self._num_refusals += 1
        self.is_calm = False
        if self._num_refusals == 1:
            self.ticket += 1
            self._refusing_since, self._refusing_ticket = now, self.ticket
            self._num_before = self.num_under_way
        is_long = now - self._refusing_since >= self._settings.refusing_s
        if is_long and self._num_refusals >= self._settings.failures and self._num_before <= 0:
            self._open(now)

    def _leave(self, ticket: int | None) -> None:
        if self._num_refusals and ticket is not None and ticket < self._refusing_ticket:
            self._num_before -= 1

    def abandoned(self, now: float, ticket: int | None = None) -> None:
        """An attempt ended without saying anything of the target: a probe is given back, nothing counts."""
        self._leave(ticket)
        if self._is_probe(ticket):
            self._state = _OPEN
            self._due = now

    def _settle(self, now: float) -> None:
        if self._state is _RAMPING:
            self._state = self.state(now)

    def _is_stale(self, ticket: int | None) -> bool:
        return ticket is not None and ticket < self._began

    def _is_probe(self, ticket: int | None) -> bool:
        return self._state is _HALF_OPEN and (ticket is None or ticket == self._probe)

    def _count(self, now: float, member: Hashable) -> None:
        self._num_failures += 1
        self.is_calm = False
        wanted = self._settings.failures
        if member is not None:
            self._failed_members.add(member)
        if self._num_failures < wanted:
            return
        if member is None or len(self._failed_members) >= min(wanted, self._num_members(now)):
            self._open(now)

    def _open(self, now: float) -> None:
        self._state = _OPEN
        self._num_refusals = 0
        self._num_failed_probes = 0
        self._due = now + self._settings.probes_s[0]
        self._begin()

    def _close(self, state: BreakerState) -> None:
        self._state = state
        self._num_failures = 0
        self._failed_members.clear()
        self._credit = 0.0
        self._begin()

    def _begin(self) -> None:
        self.ticket += 1
        self._began = self.ticket

    def _step(self, now: float) -> int:
        return int((now - self._ramp_since) / self._settings.ramp_step_s)

    def _has_share(self, now: float) -> bool:
        return self._credit + self._settings.ramp[self._step(now)] > 1 - 1e-9  # ten tenths are a whole

    def _ramped(self, now: float) -> Admission:
        """Spread the share evenly, without chance: what is not admitted is owed to the next ones."""
        is_admitted = self._has_share(now)
        self._credit += self._settings.ramp[self._step(now)] - is_admitted
        return Admission.RAMPED if is_admitted else Admission.OPEN
