"""Request ids and W3C trace context: passed on, or made."""

from __future__ import annotations

import os
import re

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# W3C Trace Context §3.2: version, trace id, parent id, flags; a later version may say more.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def new_request_id(given: str | None) -> str:
    """Return the client's request id where it is a plain token of at most 128 characters, else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()


def continue_trace(given: str | None) -> tuple[str, str]:
    """Return (traceparent for upstreams, trace id): the client's trace with our own parent id, or a new trace."""
    span = os.urandom(8).hex()
    match = _TRACEPARENT.fullmatch(given) if given is not None else None
    if match is None or not _is_sound(match):
        trace = os.urandom(16).hex()
        return f"00-{trace}-{span}-01", trace
    return f"00-{match[2]}-{span}-{match[4]}", match[2]


def _is_sound(match: re.Match[str]) -> bool:
    version, trace, parent, rest = match[1], match[2], match[3], match[5]
    if version == "ff" or trace == "0" * 32 or parent == "0" * 16:
        return False
    return version != "00" or rest is None
