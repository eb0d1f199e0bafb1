"""HTTP/1.1 in pure Python: the specification of the compiled reader and writer."""

from ._http1_body_py import ChunkScanner, LengthScanner
from ._http1_buffer_py import HeadBuffer
from ._http1_head_py import parse_request_head, parse_response_head
from ._http1_writer_py import write_request_head

__all__ = [
    "ChunkScanner",
    "HeadBuffer",
    "LengthScanner",
    "parse_request_head",
    "parse_response_head",
    "write_request_head",
]
