"""Request targets and the authorities in them."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from ._http1_facts import HeadError

_NOT_IN_TARGET = re.compile(rb"[^!-~]|#")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)(.*)")
# Sub-delimiters are legal in a reg-name, but no client sends one, and a comma reads as two hosts joined.
_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|(?:[0-9A-Za-z._~-]|%[0-9A-Fa-f]{2}){1,255})(?::([0-9]{0,5}))?")


def check_target(method: bytes, target: bytes) -> str | None:
    """Check a raw request target; return its authority where it is in absolute-form.

    Raises: HeadError `bad_request`, or `not_implemented` for CONNECT. Source: RFC 9112 §3.2.
    """
    if bad := _NOT_IN_TARGET.search(target):
        raise HeadError("bad_request", f"expected a target of visible ASCII without '#', got {bad[0]!r} in it")
    if method == b"CONNECT":
        raise HeadError("not_implemented", "expected any method but CONNECT: tunnels are not offered")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise HeadError("bad_request", "expected a target that begins with '/', 'http://' or 'https://'")
    return check_authority(absolute[1])


def check_authority(value: bytes) -> str:
    """Check `host[:port]` and return it as it came. Raises: HeadError `bad_request`. Source: RFC 9110 §7.2."""
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        raise HeadError("bad_request", f"expected 'host' or 'host:port', got {value[:80]!r}")
    if match[2] and int(match[2]) > 65535:
        raise HeadError("bad_request", f"expected a port of at most 65535, got {match[2]!r}")
    if match[1]:
        _check_ipv6(match[1])
    return value.decode("ascii")


def origin_form(method: bytes, target: bytes) -> bytes:
    """Return a checked target without scheme and authority, else as it came. Source: RFC 9112 §3.2.1, §3.2.4."""
    absolute = None if target[:1] in (b"/", b"*") else _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target
    rest = absolute[2]
    if not rest and method == b"OPTIONS":
        return b"*"
    return rest if rest.startswith(b"/") else b"/" + rest


def _check_ipv6(literal: bytes) -> None:
    try:
        IPv6Address(literal.decode("ascii"))
    except AddressValueError:
        raise HeadError("bad_request", f"expected an IPv6 address in brackets, got {literal!r}") from None
