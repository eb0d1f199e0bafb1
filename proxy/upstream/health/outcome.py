"""How an attempt ended, as the health of its endpoint sees it."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What one attempt says about the endpoint that was asked.

    `OK`: it did its work. `FAILED`: its own fault, such as no connection, a reset, silence, a 5xx. `NEUTRAL`: nothing
    is learned, as from a client that left, a lost hedge, a 4xx, or a target that is busy (429, 503).
    """

    OK = "ok"
    FAILED = "failed"
    NEUTRAL = "neutral"
