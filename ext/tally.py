"""Sums of several rows of numbers: what is counted of one event is added by one call."""

import os
from typing import TYPE_CHECKING

from ._tally_py import Row, Step

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._tally_py import Tally
else:
    try:
        from ._tally_c import Tally
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._tally_py import Tally

__all__ = ["Row", "Step", "Tally"]
