"""A bearer token taken apart, before anything of it is believed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_PART = re.compile(rb"[A-Za-z0-9_-]+")
_MAX_KID_CHARACTERS = 256
_JSON_BEGINS = (b"ey", b"ew")  # `{` and a quote, a space or a line's end, in base64url


class BadTokenError(Exception):
    """The token is none, or not one that gets in. The text is for the log, and holds nothing of the token."""


@dataclass(frozen=True, slots=True)
class Token:
    """A JWT in the compact form of a JWS. Nothing of it is proven yet."""

    text: bytes
    algorithm: str
    kid: str | None
    type: str | None
    claims: dict[str, Any]


def is_jwt(text: bytes) -> bool:
    """Whether this is meant to be a JWT, well-formed or not. Others may be credentials of another kind."""
    return text.startswith(_JSON_BEGINS) and b"." in text


def parse(text: bytes) -> Token:
    """Take a token apart. Raises: BadTokenError.

    Fields of the header that say where a key is to be had (`jku`, `x5u`, `jwk`, `x5c`) are never looked at.
    Source: RFC 7515 §5.2, §7.1; RFC 7519 §7.2; RFC 8725 §2, §3.
    """
    parts = text.split(b".")
    if len(parts) != 3:
        raise BadTokenError(f"expected three parts, got {len(parts)}")
    header, claims = (_object(part, name) for part, name in zip(parts, ("header", "claims"), strict=False))
    _decoded(parts[2], "signature")
    if "crit" in header or "b64" in header:  # extensions that one who does not know them must not pass by
        raise BadTokenError("the header asks for an extension (`crit`, `b64`)")
    if header.get("cty") is not None:
        raise BadTokenError("the header has a content type: a token within a token")
    algorithm, kid, kind = (header.get(name) for name in ("alg", "kid", "typ"))
    if not isinstance(algorithm, str):
        raise BadTokenError("the header names no `alg`")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _MAX_KID_CHARACTERS):
        raise BadTokenError(f"`kid` is not text of 1 to {_MAX_KID_CHARACTERS} characters")
    if kind is not None and not isinstance(kind, str):
        raise BadTokenError("`typ` is no text")
    return Token(text, algorithm, kid, kind, claims)


def _object(part: bytes, name: str) -> dict[str, Any]:
    data = _decoded(part, name)
    try:
        value = json.loads(data.decode(), object_pairs_hook=_distinct, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadTokenError(f"the {name} is no JSON") from error
    if not isinstance(value, dict):
        raise BadTokenError(f"the {name} is no JSON object")
    return value


def _decoded(part: bytes, name: str) -> bytes:
    """Decode base64url without padding; each text has one reading, and each reading one text (RFC 4648 §3.5)."""
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        raise BadTokenError(f"the {name} is not base64url")
    data = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part:
        raise BadTokenError(f"the {name} is not base64url in its one form")
    return data


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")  # two readers might each take another one
    return found


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
