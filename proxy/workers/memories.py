"""Memory that workers have in common, each piece under a name and a size."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict

from ..counting import own_memory

MAX_MEMORIES = 64
_log = logging.getLogger("headgate")


class Memories:
    """Made when they are first asked for, and kept for workers to come; of too many the one asked for longest ago goes.

    Workers that have one that is gone keep it; those that ask for it later get a new one.
    """

    def __init__(self) -> None:
        self._descriptors: OrderedDict[tuple[str, int], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._descriptors)

    def get(self, name: str, num_bytes: int) -> int | None:
        """Return the descriptor of the memory of that name and size; None, and it is logged, where there is none."""
        key = (name, num_bytes)
        if key not in self._descriptors:
            try:
                self._descriptors[key] = own_memory(name, num_bytes)
            except OSError as error:
                _log.error("expected %d bytes of memory for %s, got none: %s", num_bytes, name, error)
                return None
        self._descriptors.move_to_end(key)
        if len(self._descriptors) > MAX_MEMORIES:
            os.close(self._descriptors.popitem(last=False)[1])
        return self._descriptors[key]
