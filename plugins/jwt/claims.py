"""What a token's claims must say, judged at one instant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .config import IssuerConfig
from .token import BadTokenError, Token

_TYPE_PREFIX = "application/"


def judge(token: Token, issuer: IssuerConfig, now: float) -> float:
    """Return the instant at which the token ends, leeway included; `now` is in seconds since 1970.

    Raises: BadTokenError. Source: RFC 7519 §4.1; RFC 8725 §3.8 to §3.11.
    """
    claims, leeway = token.claims, issuer.leeway
    _check_type(token.type, issuer.types)
    if claims.get("iss") != issuer.issuer:
        raise BadTokenError("`iss` is another one")
    if not _audiences(claims.get("aud")) & set(issuer.audience):
        raise BadTokenError("`aud` names none of ours")
    ends = _instant(claims, "exp")
    if ends is None:
        raise BadTokenError("there is no `exp`")
    if now >= ends + leeway:
        raise BadTokenError("it has expired")
    for name in ("nbf", "iat"):
        begins = _instant(claims, name)
        if begins is not None and now < begins - leeway:
            raise BadTokenError(f"`{name}` lies ahead")
    missing = [name for name in issuer.required if claims.get(name) is None]
    if missing:
        raise BadTokenError(f"there is no `{missing[0]}`")
    return ends + leeway


def _check_type(kind: str | None, allowed: tuple[str, ...]) -> None:
    """Keep tokens made for another use out, where they say so."""
    if kind is not None and kind.lower().removeprefix(_TYPE_PREFIX) not in allowed:
        raise BadTokenError("`typ` is one of another use")


def _audiences(value: object) -> set[str]:
    listed = value if isinstance(value, list) else [value]
    return {each for each in listed if isinstance(each, str)}


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e12:
        raise BadTokenError(f"`{name}` is no instant")
    return float(value)
