"""One attempt of an exchange at a target."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """How far an attempt has come."""

    CONNECTING = "connecting"
    AWAITING_HEAD = "awaiting_head"
    AWAITING_EVENT = "awaiting_event"
    ANSWERING = "answering"
    OVER = "over"


CONNECTING, AWAITING_HEAD, AWAITING_EVENT, ANSWERING, OVER = Phase


class Purpose(StrEnum):
    """Why an attempt is made; what it has to be allowed by depends on it."""

    FIRST = "first"  # of this exchange at its target
    RETRY = "retry"  # at the same target
    HEDGE = "hedge"  # beside one that is slow to begin
    RESUME = "resume"  # continues a committed answer that broke off
    FORCED = "forced"  # the target's breaker is open, and nobody else is left


FIRST = Purpose.FIRST


class Attempt:
    """Try target number `target`, not before the instant `at`. `is_fresh`: on a new connection.

    `since` is when its phase began, or when bytes moved last; `share_from` the same up to the head of the answer: from
    then on it has its share of the time. `ticket` is what the gate gave for it; None once its outcome was told.
    """

    __slots__ = ("at", "is_fresh", "number", "phase", "purpose", "share_from", "since", "target", "ticket")

    def __init__(self, number: int, target: int, at: float, purpose: Purpose, ticket: object) -> None:
        self.number = number
        self.target = target
        self.at = at
        self.purpose = purpose
        self.ticket: object | None = ticket
        self.is_fresh = False
        self.phase = CONNECTING
        self.since = at
        self.share_from = at

    def __repr__(self) -> str:
        return f"Attempt({self.number}, target={self.target}, at={self.at:g}, {self.purpose}, {self.phase})"
