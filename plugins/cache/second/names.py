"""The names of what is kept in Redis."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from ..key import Key, Uri
from ..vary import Vary

LAYOUT = 1  # of names and values; what another layout wrote is never looked at


class Names:
    """Makes names that begin with `prefix`. Instances whose `settings` differ share nothing.

    A name ends in a digest: no URI and no tenant can be read from it, and its length is fixed.
    """

    __slots__ = ("_base",)

    def __init__(self, prefix: str, settings: Iterable[str]) -> None:
        self._base = f"{prefix}:{LAYOUT}:{_digest(sorted(settings))[:16]}"

    @property
    def all(self) -> bytes:
        """The generation of everything."""
        return f"{self._base}:all".encode()

    @property
    def channel(self) -> bytes:
        """Where it is said what is forgotten."""
        return f"{self._base}:forgotten".encode()

    def uri(self, uri: Uri) -> bytes:
        """The generation of one URI, for all tenants and routes."""
        return f"{self._base}:uri:{_digest(uri)}".encode()

    def primary(self, key: Key) -> bytes:
        """The answer of a key; where it varies, by what."""
        return f"{self._base}:key:{_digest(key_parts(key))}".encode()

    def variants(self, key: Key) -> bytes:
        """The list of names of a key's variants, the newest first."""
        return f"{self._base}:list:{_digest(key_parts(key))}".encode()

    def variant(self, key: Key, vary: Vary) -> bytes:
        """The answer of a key to requests with these values."""
        return f"{self._base}:vary:{_digest([key_parts(key), vary])}".encode()


def key_parts(key: Key) -> list[Any]:
    """Return a key as lists and texts: two are equal where their keys are."""
    targets = [[[each.cluster, each.model, each.weight, each.context, each.prefill] for each in g] for g in key.groups]
    return [*key.uri, key.route, key.tenant, targets]


def _digest(parts: Any) -> str:
    return sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()
