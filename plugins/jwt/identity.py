"""Who a good token is, and what it opens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...proxy.exchange.priority import PRIORITIES
from ...proxy.verdicts import Identity
from .config import Grant, IssuerConfig
from .token import BadTokenError

_ID = re.compile(r"[!-~]{1,128}")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,128}")  # RFC 6749 §3.3
_MAX_SCOPES = 256


def identity_of(claims: Mapping[str, Any], name: str, issuer: IssuerConfig, grants: tuple[Grant, ...]) -> Identity:
    """Return the identity of a token of the issuer called `name`. Raises: BadTokenError.

    The caller is `name:claim`: another issuer that writes the same claim names somebody else.
    """
    key_id = f"{name}:{_id(claims, issuer.key_claim)}"
    tenant = issuer.tenant if issuer.tenant_claim is None else _id(claims, issuer.tenant_claim)
    assert tenant is not None  # the settings want one of the two
    scopes = _scopes(claims, issuer.scope_claims)
    if not grants:
        return Identity(key_id, tenant, scopes)
    held = [grant for grant in grants if grant.scope in scopes]
    return Identity(
        key_id,
        tenant,
        scopes,
        models=_union([grant.models for grant in held]),
        routes=_union([grant.routes for grant in held]),
        max_priority=max((grant.max_priority for grant in held), key=PRIORITIES.index, default="default"),
    )


def _union(parts: list[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """Return what any of the parts allows: nothing where there is none, and None, for all, where one allows all."""
    listed = [part for part in parts if part is not None]
    return tuple(dict.fromkeys(name for part in listed for name in part)) if len(listed) == len(parts) else None


def _at(claims: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = claims
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _id(claims: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value = _at(claims, path)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise BadTokenError(f"`{'.'.join(path)}` is not text of 1 to 128 visible ASCII characters")
    return value


def _scopes(claims: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> frozenset[str]:
    found: set[str] = set()
    for path in paths:
        value = _at(claims, path)
        listed = value.split(" ") if isinstance(value, str) else value if isinstance(value, list) else []
        found |= {each for each in listed if isinstance(each, str) and _SCOPE.fullmatch(each)}
    if len(found) > _MAX_SCOPES:
        raise BadTokenError(f"it has more than {_MAX_SCOPES} scopes")
    return frozenset(found)
