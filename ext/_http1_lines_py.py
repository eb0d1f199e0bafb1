"""The lines of a head, split and checked, in pure Python: the specification of the compiled reader."""

from __future__ import annotations

import re

from ._http1_facts import HeadError, HeadLimits, Pair, Refusal

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

_CONTROLS = bytes(byte for byte in (*range(0x20), 0x7F) if byte not in b"\t\r\n")
_HOPELESS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|(?<=\r)[^\n]")

_FRAMING = frozenset((b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade"))

Special = dict[bytes, list[bytes]]


def split_head(raw: bytes, limits: HeadLimits, refusal: Refusal) -> list[bytes]:
    """Split a whole head into its lines, without line ends and without the empty line.

    Raises: HeadError for a byte or a size that no head may have.
    """
    if not raw.endswith(b"\r\n\r\n"):
        raise HeadError(refusal.malformed, "expected a head that ends with an empty line")
    if len(raw) > limits.max_head_bytes:
        raise HeadError(refusal.head_too_large, f"expected a head of at most {limits.max_head_bytes} bytes")
    if (bad_at := find_hopeless(raw)) >= 0:
        raise HeadError(refusal.malformed, hopeless_detail(raw, bad_at))
    lines = raw[:-4].split(b"\r\n")
    if len(lines[0]) > limits.max_line_bytes:
        raise HeadError(refusal.line_too_long, f"expected a first line of at most {limits.max_line_bytes} bytes")
    if len(lines) - 1 > limits.max_fields:
        raise HeadError(refusal.head_too_large, f"expected at most {limits.max_fields} fields, got {len(lines) - 1}")
    return lines


def find_hopeless(data: bytes | bytearray, start: int = 0, stop: int | None = None) -> int:
    """Return the place of the first byte that no head can hold; -1 where there is none.

    That is a control character, a bare LF, or the byte after a bare CR; a CR at the very end may still get its LF.
    Source: RFC 9112 §2.2, RFC 9110 §5.5.
    """
    end = len(data) if stop is None else stop
    part = data[start:end]
    pairs = part.count(b"\r\n")
    # Ten times faster than the pattern, which is only asked where a byte is wrong or an edge cuts a CRLF.
    if pairs == part.count(b"\n") == part.count(b"\r") and len(part.translate(None, _CONTROLS)) == len(part):
        return -1
    match = _HOPELESS.search(data, start, end)
    return match.start() if match else -1


def hopeless_detail(data: bytes | bytearray, position: int) -> str:
    """Say what is wrong with the byte at `position`, as `find_hopeless` found it."""
    if data[position : position + 1] == b"\n":
        return f"expected CRLF, got a bare LF at byte {position}"
    if position and data[position - 1 : position] == b"\r":
        return f"expected CRLF, got a bare CR at byte {position - 1}"
    return f"expected no control character, got 0x{data[position]:02x} at byte {position}"


def parse_fields(lines: list[bytes], malformed: str) -> tuple[tuple[Pair, ...], Special]:
    """Return the fields in order, and the values of those that decide framing, by lower-case name.

    Names stay as they came, values lose the white space around them. Raises: HeadError of kind `malformed`.
    """
    fields: list[Pair] = []
    special: Special = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise HeadError(malformed, f"expected 'name: value', got a line of {len(line)} bytes without a colon")
        if not name or name.translate(None, TOKEN):
            raise HeadError(malformed, f"expected a field name of token characters, got {name[:40]!r}")
        value = value.strip(b" \t")
        fields.append((name, value))
        if (lower := name.lower()) in _FRAMING:
            special.setdefault(lower, []).append(value)
    return tuple(fields), special


def parse_content_length(values: list[bytes], malformed: str) -> int | None:
    """Return the declared length; None where there is none.

    A repeated field is refused even where the values agree: recipients differ on it. Raises: HeadError of kind
    `malformed`. Source: RFC 9112 §6.3.
    """
    if not values:
        return None
    if len(values) > 1:
        raise HeadError(malformed, f"expected one Content-Length, got {len(values)}")
    value = values[0]
    if not value.isdigit() or len(value) > 18:  # bytes.isdigit knows ASCII digits only
        raise HeadError(malformed, f"expected a Content-Length of 1 to 18 digits, got {value[:40]!r}")
    return int(value)


def list_members(values: list[bytes]) -> list[bytes]:
    """Return the members of a comma-separated list field, lower-case. Source: RFC 9110 §5.6.1."""
    members = (member.strip(b" \t").lower() for value in values for member in value.split(b","))
    return [member for member in members if member]
