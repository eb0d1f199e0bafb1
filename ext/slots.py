"""Slots: how many things each key has under way, exact over the processes that share them, also where one dies."""

import os
from typing import TYPE_CHECKING

from ._limiter_key import Key
from ._slots_py import MAX_HOLDERS, MAX_LIMIT

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._slots_py import SlotTable
else:
    try:
        from ._slots_c import SlotTable
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._slots_py import SlotTable

__all__ = ["MAX_HOLDERS", "MAX_LIMIT", "Key", "SlotTable"]
