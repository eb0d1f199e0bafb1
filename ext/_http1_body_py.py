"""Bodies that arrive in pieces, in pure Python: the specification of the compiled ones."""

from __future__ import annotations

import re

from ._http1_facts import MAX_EXTENSION_BYTES, MAX_TRAILER_BYTES, ChunkError
from ._http1_lines_py import TOKEN, find_hopeless

_WINDOW = 256
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
# White space around an extension's ';' and '=' is legal but "bad" (RFC 9112 §7.1.1), and a known way to smuggle.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSIONS = re.compile(rb"(?:;%b(?:=(?:%b|%b))?)*+" % (_TOKEN, _TOKEN, _QUOTED))
_FRAMING = frozenset((b"content-length", b"host", b"trailer", b"transfer-encoding"))

_SIZE_LINE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class LengthScanner:
    """Counts one body of `length` bytes that arrives in pieces, as `ChunkScanner` does a chunked one."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def is_complete(self) -> bool:
        """Whether the last byte has come."""
        return self._left == 0

    def feed(self, data: bytes | memoryview) -> int:
        """Take the next bytes; return how many of them belong to this body."""
        size = min(len(data), self._left)
        self._left -= size
        return size

    def decode(self, data: bytes) -> tuple[bytes, int]:
        """Take the next bytes; return those of this body, and how many they are."""
        size = self.feed(data)
        return data[:size], size


class ChunkScanner:
    """Finds the end of one chunked body that arrives in pieces, and its data.

    Extensions and trailer fields are checked and bounded, then forgotten. What it accepts does not depend on how
    the bytes were split. A body is read either by `feed` or by `decode`.
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

    @property
    def is_between_chunks(self) -> bool:
        """Whether the next byte begins a chunk."""
        return self._state == _SIZE_LINE and not self._line

    def feed(self, data: bytes | memoryview) -> int:
        """Take the next bytes; return how many of them belong to this body: all, until it is complete.

        Raises: ChunkError as soon as the body is hopeless; the scanner is then of no more use.
        Cost: one step a chunk, not a byte.
        """
        return self._advance(data, None)

    def decode(self, data: bytes) -> tuple[bytes, int]:
        """Take the next bytes; return the data among them, and how many belong to this body, framing included.

        Data that fills `data` is returned as it is, else copied once or twice. Raises: as `feed`. Cost: as `feed`, and
        the copies.
        """
        pieces: list[bytes] = []
        size = self._advance(data, pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), size

    def see_plain(self, data: bytes) -> tuple[int, int] | None:
        """Return how many chunks the next bytes are, and the size of their data. The scanner stays where it is.

        None where they are anything but whole chunks with a size alone, none of them the last. Cost: as `feed`.
        """
        if not self.is_between_chunks:
            return None
        num, size, at, end = 0, 0, 0, len(data)
        while at < end:
            line = _PLAIN_SIZE.match(data, at)
            left = int(line[1], 16) if line is not None else 0
            if line is None or not left or not data.startswith(b"\r\n", line.end() + left):
                return None
            num, size, at = num + 1, size + left, line.end() + left + 2
        return (num, size) if num else None

    def _advance(self, data: bytes | memoryview, pieces: list[bytes] | None) -> int:
        position, end = 0, len(data)
        while position < end and self._state != _DONE:
            if self._state == _DATA:
                step = min(self._left, end - position)
                if pieces is not None:
                    pieces.append(bytes(data[position : position + step]))
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
