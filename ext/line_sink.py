"""Where lines go to be written, by a thread of its own."""

import os
from typing import TYPE_CHECKING

from ._line_sink_py import BLOCK_BYTES, MAX_BYTES, MAX_LINES, MAX_TURNS

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._line_sink_py import LineSink
else:
    try:
        from ._line_sink_c import LineSink
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._line_sink_py import LineSink

__all__ = ["BLOCK_BYTES", "MAX_BYTES", "MAX_LINES", "MAX_TURNS", "LineSink"]
