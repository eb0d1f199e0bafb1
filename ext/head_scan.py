"""The head scan: what a JSON body, of a request or an answer, tells at its top level, found without a full parse."""

import os
from typing import TYPE_CHECKING

from ._head_scan_py import BLOCK_BYTES, MAX_BLOCKS, MAX_DEPTH, MAX_DIGITS, MAX_MEMBERS

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._head_scan_py import BodyScan, read_usage, scan_head

    #: Whether the scan is faster than a parse of the body: the twin specifies, and is not.
    IS_COMPILED = False
else:
    try:
        from ._head_scan_c import BodyScan, read_usage, scan_head

        IS_COMPILED = True
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._head_scan_py import BodyScan, read_usage, scan_head

        IS_COMPILED = False

__all__ = [
    "BLOCK_BYTES",
    "IS_COMPILED",
    "MAX_BLOCKS",
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MAX_MEMBERS",
    "BodyScan",
    "read_usage",
    "scan_head",
]
