"""Heads of requests and responses, read strictly in pure Python: the specification of the compiled reader."""

from __future__ import annotations

import re

from ._http1_facts import (
    REQUEST_REFUSAL,
    RESPONSE_REFUSAL,
    Framing,
    HeadError,
    HeadLimits,
    RequestHead,
    ResponseHead,
)
from ._http1_lines_py import TOKEN, Special, list_members, parse_content_length, parse_fields, split_head
from ._http1_target import check_authority, check_target

_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9]{2})(?: (.*))?")


def parse_request_head(raw: bytes, limits: HeadLimits) -> RequestHead:
    """Read a whole request head, from its first byte up to and with the empty line.

    Raises: HeadError of kind `bad_request`, `target_too_long`, `head_too_large`, `not_implemented`,
    `version_unsupported` or `expectation_failed`. Cost: linear in the head.
    """
    lines = split_head(raw, limits, REQUEST_REFUSAL)
    method, target, version = _request_line(lines[0])
    authority = check_target(method, target)
    fields, special = parse_fields(lines[1:], "bad_request")
    host = _host(special.get(b"host", []), version)
    length, is_chunked = _request_framing(special, version)
    return RequestHead(
        method=method,
        target=target,
        version=version,
        fields=fields,
        content_length=length,
        is_chunked=is_chunked,
        is_keep_alive=_is_keep_alive(special, version),
        expects_continue=_expects_continue(special.get(b"expect"), version),
        host=host if authority is None else authority,
    )


def parse_response_head(raw: bytes, limits: HeadLimits, *, request_method: bytes) -> ResponseHead:
    """Read a whole response head, from its first byte up to and with the empty line.

    `request_method` decides with the status whether a body follows. Raises: HeadError of kind `malformed_answer`
    or `answer_too_large`. Cost: linear in the head.
    """
    lines = split_head(raw, limits, RESPONSE_REFUSAL)
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise HeadError("malformed_answer", f"expected 'HTTP/1.1 status reason', got {lines[0][:40]!r}")
    version = (1, min(int(match[1]), 1))
    status = int(match[2])
    fields, special = parse_fields(lines[1:], "malformed_answer")
    length, is_chunked = _response_framing(special, version)
    return ResponseHead(
        status=status,
        reason=(match[3] or b"").strip(b" \t"),
        version=version,
        fields=fields,
        framing=_framing(status, request_method, length, is_chunked),
        content_length=length,
        # HTTP/1.0 keep-alive is not honoured upstream: a kept connection must be worth trusting.
        is_keep_alive=version == (1, 1) and _is_keep_alive(special, version),
    )


def _request_line(line: bytes) -> tuple[bytes, bytes, tuple[int, int]]:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise HeadError("bad_request", f"expected 'METHOD target HTTP/1.1', got {len(parts)} parts between spaces")
    method, target, name = parts
    if not method or method.translate(None, TOKEN):
        raise HeadError("bad_request", f"expected a method of token characters, got {method[:40]!r}")
    version = _VERSION.fullmatch(name)
    if version is None:
        raise HeadError("bad_request", f"expected HTTP/1.1 at the end of the request line, got {name[:40]!r}")
    if version[1] != b"1":
        raise HeadError("version_unsupported", f"expected HTTP/1.0 or HTTP/1.1, got {name!r}")
    return method, target, (1, min(int(version[2]), 1))


def _host(values: list[bytes], version: tuple[int, int]) -> str:
    if len(values) == 1:
        return check_authority(values[0])
    if not values and version == (1, 0):
        return ""
    raise HeadError("bad_request", f"expected exactly one Host, got {len(values)}")


def _request_framing(special: Special, version: tuple[int, int]) -> tuple[int | None, bool]:
    codings = special.get(b"transfer-encoding")
    length = parse_content_length(special.get(b"content-length", []), "bad_request")
    if codings is None:
        return length, False
    if length is not None:
        raise HeadError("bad_request", "expected Content-Length or Transfer-Encoding, got both")
    if version == (1, 0):
        raise HeadError("bad_request", "expected no Transfer-Encoding in HTTP/1.0")
    if len(codings) != 1 or codings[0].lower() != b"chunked":
        raise HeadError("not_implemented", "expected exactly one transfer coding, chunked")
    return None, True


def _response_framing(special: Special, version: tuple[int, int]) -> tuple[int | None, bool]:
    codings = special.get(b"transfer-encoding")
    length = parse_content_length(special.get(b"content-length", []), "malformed_answer")
    if codings is None:
        return length, False
    if length is not None:
        raise HeadError("malformed_answer", "expected Content-Length or Transfer-Encoding, got both")
    if version == (1, 0):
        raise HeadError("malformed_answer", "expected no Transfer-Encoding in HTTP/1.0")
    if len(codings) != 1 or codings[0].lower() != b"chunked":
        raise HeadError("malformed_answer", "expected exactly one transfer coding, chunked")
    return None, True


def _framing(status: int, method: bytes, length: int | None, is_chunked: bool) -> Framing:
    # Source: RFC 9112 §6.3, in its order.
    if method == b"HEAD" or status < 200 or status in (204, 304):
        return "none"
    if is_chunked:
        return "chunked"
    return "close" if length is None else "length"


def _is_keep_alive(special: Special, version: tuple[int, int]) -> bool:
    options = list_members(special[b"connection"]) if b"connection" in special else []
    if b"close" in options:
        return False
    return version >= (1, 1) or b"keep-alive" in options


def _expects_continue(values: list[bytes] | None, version: tuple[int, int]) -> bool:
    if values is None or version == (1, 0):  # RFC 9110 §10.1.1: ignored in HTTP/1.0
        return False
    if any(member != b"100-continue" for member in list_members(values)):
        raise HeadError("expectation_failed", "expected no expectation but 100-continue")
    return bool(list_members(values))
