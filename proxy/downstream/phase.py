"""Where a client connection stands."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """What the next byte from the client belongs to."""

    HEAD = 1
    BODY = 2
    BUSY = 3
    TUNNEL = 4
    DISCARD = 5
