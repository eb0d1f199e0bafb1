"""HTTP/1.1 on the wire, without input or output: heads and bodies, read strictly, and heads of requests, written."""

import os
from typing import TYPE_CHECKING

from ._http1_facts import (
    MAX_EXTENSION_BYTES,
    MAX_TRAILER_BYTES,
    ChunkError,
    Framing,
    HeadError,
    HeadLimits,
    Pair,
    RequestHead,
    ResponseHead,
    WrittenHead,
)
from ._http1_lines_py import list_members
from ._http1_target import origin_form

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._http1_py import (
        ChunkScanner,
        HeadBuffer,
        LengthScanner,
        parse_request_head,
        parse_response_head,
        write_request_head,
    )
else:
    try:
        from ._http1_c import (
            ChunkScanner,
            HeadBuffer,
            LengthScanner,
            parse_request_head,
            parse_response_head,
            write_request_head,
        )
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._http1_py import (
            ChunkScanner,
            HeadBuffer,
            LengthScanner,
            parse_request_head,
            parse_response_head,
            write_request_head,
        )

__all__ = [
    "MAX_EXTENSION_BYTES",
    "MAX_TRAILER_BYTES",
    "ChunkError",
    "ChunkScanner",
    "Framing",
    "HeadBuffer",
    "HeadError",
    "HeadLimits",
    "LengthScanner",
    "Pair",
    "RequestHead",
    "ResponseHead",
    "WrittenHead",
    "list_members",
    "origin_form",
    "parse_request_head",
    "parse_response_head",
    "write_request_head",
]
