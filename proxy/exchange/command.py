"""What the machine tells its driver to do next."""

from __future__ import annotations

from dataclasses import dataclass

from .attempt import Attempt


@dataclass(frozen=True, slots=True)
class Hold:
    """The answer is not committed yet: wait for its first event, or for more of it."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Give the client this answer; from now on no other. In a resume: it goes on."""


@dataclass(frozen=True, slots=True)
class Wait:
    """This attempt is over; another one is under way."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt is left: end the exchange with this error."""

    kind: str


@dataclass(frozen=True, slots=True)
class Break:
    """The committed answer ended early: the client must see that it is not complete."""

    kind: str


Command = Attempt | Hold | Commit | Wait | GiveUp | Break
HOLD, COMMIT, WAIT = Hold(), Commit(), Wait()
