"""Facts of the cache core that do not depend on how it is built: policies, reasons, bounds."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, get_args

Policy = Literal["lru", "sieve", "s3fifo"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
MAX_BYTES = 1 << 62
MAX_STEPS = 128  # entries that the search for one victim looks at; the next is the victim, whatever it deserves
SWEPT_PER_PUT = 2  # entries whose expiry each `put` looks at: twice as many as can come in


class Reason(IntEnum):
    """Why an entry left: for want of room, past its expiry, for a newer value of its key, or on demand."""

    SIZE = 0
    EXPIRED = 1
    REPLACED = 2
    INVALIDATED = 3
