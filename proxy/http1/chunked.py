"""Where a chunked body ends."""

from __future__ import annotations

import re

from .field_lines import TOKEN, find_hopeless

MAX_EXTENSION_BYTES = 4 * 1024
MAX_TRAILER_BYTES = 8 * 1024

_WINDOW = 256
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
# White space around an extension's ';' and '=' is legal but "bad" (RFC 9112 §7.1.1), and a known way to smuggle.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSIONS = re.compile(rb"(?:;%b(?:=(?:%b|%b))?)*+" % (_TOKEN, _TOKEN, _QUOTED))
_FRAMING = frozenset((b"content-length", b"host", b"trailer", b"transfer-encoding"))

_SIZE_LINE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkError(ValueError):
    """A chunked body that is not framed as RFC 9112 §7.1 says."""


class ChunkScanner:
    """Finds the end of one chunked body that arrives in pieces, without copying its data.

    Extensions and trailer fields are checked and bounded, then forgotten. What it accepts does not depend on how
    the bytes were split.
    """

    __slots__ = ("_extension_bytes", "_left", "_line", "_state", "_trailer_bytes")

    def __init__(self) -> None:
        self._state = _SIZE_LINE
        self._left = 0
        self._line = b""
        self._extension_bytes = 0
        self._trailer_bytes = 0

    @property
    def is_complete(self) -> bool:
        """Whether the last chunk and the trailer section have ended."""
        return self._state == _DONE

    def feed(self, data: bytes | memoryview) -> int:
        """Take the next bytes; return how many of them belong to this body: all, until it is complete.

        Raises: ChunkError as soon as the body is hopeless; the scanner is then of no more use.
        Cost: one step a chunk, not a byte.
        """
        position, end = 0, len(data)
        while position < end and self._state != _DONE:
            if self._state == _DATA:
                step = min(self._left, end - position)
                self._left -= step
                position += step
                if not self._left:
                    self._state = _DATA_END
            else:
                position = self._take_line(data, position)
        return position

    def _take_line(self, data: bytes | memoryview, position: int) -> int:
        window = bytes(data[position : position + _WINDOW])
        cut = window.find(b"\n") + 1
        line = self._line + (window[:cut] if cut else window)
        if cut and line[-2:] != b"\r\n":
            raise ChunkError("expected CRLF, got a bare LF")
        if self._state == _SIZE_LINE:
            self._check_size(line, bool(cut))
        elif self._state == _DATA_END:
            self._check_data_end(line)
        else:
            self._check_trailer(line, bool(cut))
        self._line = b"" if cut else line
        return position + (cut or len(window))

    def _check_size(self, line: bytes, is_whole: bool) -> None:
        text = line[:-2] if is_whole else line.removesuffix(b"\r")
        size, semicolon, _ = text.partition(b";")
        if not _SIZE.fullmatch(size):
            raise ChunkError(f"expected a chunk size of 1 to 16 hexadecimal digits, got {size[:20]!r}")
        extension_bytes = self._extension_bytes + len(text) - len(size)
        if extension_bytes > MAX_EXTENSION_BYTES:
            raise ChunkError(f"expected at most {MAX_EXTENSION_BYTES} bytes of chunk extensions in a body")
        if not is_whole:
            return
        if semicolon and not _EXTENSIONS.fullmatch(text, len(size)):
            raise ChunkError("expected chunk extensions as ';name' or ';name=value' without white space")
        self._extension_bytes = extension_bytes
        self._left = int(size, 16)
        self._state = _DATA if self._left else _TRAILERS

    def _check_data_end(self, line: bytes) -> None:
        if line == b"\r\n":
            self._state = _SIZE_LINE
        elif line != b"\r":
            raise ChunkError(f"expected CRLF after the data of a chunk, got {line[:20]!r}")

    def _check_trailer(self, line: bytes, is_whole: bool) -> None:
        if self._trailer_bytes + len(line) > MAX_TRAILER_BYTES:
            raise ChunkError(f"expected a trailer section of at most {MAX_TRAILER_BYTES} bytes")
        if find_hopeless(line) >= 0:
            raise ChunkError("expected trailer fields without control characters")
        if not is_whole:
            return
        self._trailer_bytes += len(line)
        if line == b"\r\n":
            self._state = _DONE
            return
        name, colon, _ = line.partition(b":")
        if not colon or not name or name.translate(None, TOKEN) or name.lower() in _FRAMING:
            raise ChunkError(f"expected a trailer field 'name: value' that may be one, got the name {name[:40]!r}")
