"""Gives back to the system what memory a flood of exchanges took, once they are few again.

The C library keeps what was freed between things that still live, and what holds itself in a circle waits for the
garbage collector, which may come late when little is going on. So both are asked, once, when the flood is over.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path

GROWN_BYTES = 32 << 20  # less is not worth it: what is kept is used by the next exchanges
FEW = 4  # exchanges are few again at most at so large a part of what they were
_LOOK_S = 2.0
_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Ebb:
    """Says when to give memory back. Pure: who asks says how many exchanges there are, and what memory is in use."""

    __slots__ = ("_least_bytes", "_most_exchanges")

    def __init__(self, used_bytes: int) -> None:
        self._least_bytes = used_bytes
        self._most_exchanges = 0

    def has_come(self, num_exchanges: int, used_bytes: int) -> bool:
        """Whether memory has grown by `GROWN_BYTES` and exchanges have become few."""
        self._most_exchanges = max(self._most_exchanges, num_exchanges)
        self._least_bytes = min(self._least_bytes, used_bytes)
        return num_exchanges * FEW <= self._most_exchanges and used_bytes - self._least_bytes >= GROWN_BYTES

    def gave_back(self, num_exchanges: int, used_bytes: int) -> None:
        """Begin anew: what is still in use is needed."""
        self._most_exchanges = num_exchanges
        self._least_bytes = used_bytes


def watch(loop: asyncio.AbstractEventLoop, num_exchanges: Callable[[], int]) -> None:
    """Look now and then, for as long as the loop runs; not at all where the system does not tell what is in use.

    Cost: a read of /proc every 2 s; after a flood one full collection and one trim, while nothing else happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None or not _STATM.exists():
        return
    ebb = Ebb(_used_bytes())

    def look() -> None:
        loop.call_later(_LOOK_S, look)
        if ebb.has_come(num_exchanges(), _used_bytes()):
            gc.collect()
            trim(0)
            ebb.gave_back(num_exchanges(), _used_bytes())

    loop.call_later(_LOOK_S, look)


def _used_bytes() -> int:
    return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
