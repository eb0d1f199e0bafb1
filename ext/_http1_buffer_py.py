"""A head that arrives in pieces, in pure Python: the specification of the compiled one."""

from __future__ import annotations

from ._http1_facts import REQUEST_REFUSAL, RESPONSE_REFUSAL, HeadError, HeadLimits
from ._http1_lines_py import find_hopeless, hopeless_detail

_END = b"\r\n\r\n"
_ANSWER = b"HTTP/1."


class HeadBuffer:
    """Collects one head, and refuses it at the first byte that makes it hopeless.

    What it returns or raises does not depend on how the bytes were split. The number of fields is left to the
    parser: the size of the head bounds it. In front of a request one empty line is skipped (RFC 9112 §2.2).
    """

    __slots__ = ("_data", "_is_skipping", "_limits", "_refusal", "_seen", "rest")

    def __init__(self, limits: HeadLimits, *, is_response: bool = False) -> None:
        self._limits = limits
        self._refusal = RESPONSE_REFUSAL if is_response else REQUEST_REFUSAL
        self._is_skipping = not is_response
        self._data = bytearray()
        self._seen = 0
        self.rest = b""

    @property
    def is_empty(self) -> bool:
        """Whether no byte of the head has come yet."""
        return not self._data

    def feed(self, data: bytes) -> bytes | None:
        """Add bytes; return the head once it is complete, and keep what follows it in `rest`.

        Raises: HeadError. Cost: linear in `data`. To be called no more once it returned or raised.
        """
        self._data += data
        if self._is_skipping:
            self._skip_empty_line()
        self._refuse_start()
        end = self._data.find(_END, max(0, self._seen - 3))
        stop = len(self._data) if end < 0 else end + len(_END)
        self._refuse(stop)
        if end < 0:
            self._seen = stop
            return None
        head = bytes(self._data[:stop])
        self.rest = bytes(self._data[stop:])
        return head

    def _skip_empty_line(self) -> None:
        if self._data.startswith(b"\r\n"):
            del self._data[:2]
        elif bytes(self._data[:2]) in (b"", b"\r"):
            return
        self._is_skipping = False

    def _refuse_start(self) -> None:
        if self._refusal is RESPONSE_REFUSAL:
            # What speaks another protocol may never send an empty line.
            if not _ANSWER.startswith(bytes(self._data[: len(_ANSWER)])):
                raise HeadError(self._refusal.malformed, "expected an answer that begins with 'HTTP/1.'")
        elif self._data.startswith(b"\r\n"):
            raise HeadError(self._refusal.malformed, "expected a first line, got a second empty one")

    def _refuse(self, stop: int) -> None:
        """Refuse what stands before `stop` by its first hopeless byte."""
        data, limits = self._data, self._limits
        found = find_hopeless(data, max(0, self._seen - 1), stop)
        bad_at = stop if found < 0 else found
        # One byte more than the line may hold is its CR, or too much.
        line_end = data.find(b"\r", 0, min(stop, limits.max_line_bytes + 1))
        line_at = limits.max_line_bytes if line_end < 0 and stop > limits.max_line_bytes else stop
        head_at = limits.max_head_bytes if stop > limits.max_head_bytes else stop
        first = min(bad_at, line_at, head_at)
        if first == stop:
            return
        if first == line_at:
            raise HeadError(self._refusal.line_too_long, f"expected a first line of at most {line_at} bytes")
        if first == head_at:
            raise HeadError(self._refusal.head_too_large, f"expected a head of at most {head_at} bytes")
        raise HeadError(self._refusal.malformed, hopeless_detail(data, bad_at))
