"""The lane: plain HTTP/1.1 between client and target without a task. It has no twin: the reference path specifies it.

`Downstream` is None where the extension is not built, or not wanted: then every connection takes the reference path.
"""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

_LANE = f"{__package__}._lane_c"

if TYPE_CHECKING:
    from ._lane_types import (
        AnswerHead,
        Arrived,
        Downstream,
        Facts,
        clock,
        decorate,
        is_quiet,
        joined,
        read_answer,
        write_answer,
        write_request,
    )
elif os.environ.get("HEADGATE_NO_EXTENSIONS") or os.environ.get("HEADGATE_NO_LANE") or not find_spec(_LANE):
    # Built and broken is another thing: that must be heard of.
    AnswerHead = Arrived = Downstream = Facts = None
    clock = decorate = is_quiet = joined = read_answer = write_answer = write_request = None
else:
    from ._lane_c import (
        AnswerHead,
        Arrived,
        Downstream,
        Facts,
        clock,
        decorate,
        is_quiet,
        joined,
        read_answer,
        write_answer,
        write_request,
    )

KEPT, DROPPED, CHAINED, TOLD_ID, TOLD_TRACE, WISH = range(6)  # what becomes of a field

__all__ = [
    "CHAINED",
    "DROPPED",
    "KEPT",
    "TOLD_ID",
    "TOLD_TRACE",
    "WISH",
    "AnswerHead",
    "Arrived",
    "Downstream",
    "Facts",
    "clock",
    "decorate",
    "is_quiet",
    "joined",
    "read_answer",
    "write_answer",
    "write_request",
]
