"""Limiter cells: how many units each caller has left, exact over the processes that share them."""

import os
from typing import TYPE_CHECKING

from ._gcra import NS_PER_S, Decision, Limit, admit, ceil_seconds
from ._limiter_key import Key, KeyPart

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._limiter_cells_py import LimiterCells, Reserved
else:
    try:
        from ._limiter_cells_c import LimiterCells, Reserved
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._limiter_cells_py import LimiterCells, Reserved

__all__ = ["NS_PER_S", "Decision", "Key", "KeyPart", "Limit", "LimiterCells", "Reserved", "admit", "ceil_seconds"]
