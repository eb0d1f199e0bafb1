"""CORS as the Fetch standard defines it: what an answer says to the page that asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...proxy.exchange.fields import Fields, Pair
from .config import ANY, CorsConfig

_SUBDOMAINS = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_MAX_ORIGIN_CHARACTERS = 512
NAMES = frozenset(
    b"access-control-" + name
    for name in (
        *(b"allow-origin", b"allow-credentials", b"allow-methods", b"allow-headers", b"allow-private-network"),
        *(b"expose-headers", b"max-age"),
    )
)


def is_preflight(method: str, fields: Fields) -> bool:
    """Whether a browser asks before the request itself. Source: Fetch, "HTTP requests" of the CORS protocol."""
    return method == "OPTIONS" and "access-control-request-method" in fields and "origin" in fields


class Cors:
    """The answers of one policy. They do not depend on the path, the identity, or what the service says."""

    def __init__(self, config: CorsConfig) -> None:
        self._is_open = config.allow_origins == (ANY,)
        self._exact = frozenset(origin for origin in config.allow_origins if "*" not in origin)
        wild = [origin.partition("*") for origin in config.allow_origins if "*." in origin]
        self._wild = tuple((before, after) for before, _, after in wild)
        self._is_network_open = config.allow_private_network
        credentials = [(b"Access-Control-Allow-Credentials", b"true")] * config.allow_credentials
        exposed = _list(b"Access-Control-Expose-Headers", config.expose_headers)
        self._actual: tuple[Pair, ...] = (*credentials, *exposed)
        self._preflight: tuple[Pair, ...] = (
            *credentials,
            *_list(b"Access-Control-Allow-Methods", config.allow_methods),
            *_list(b"Access-Control-Allow-Headers", config.allow_headers),
            (b"Access-Control-Max-Age", b"%d" % config.max_age),
        )

    def fields(self, method: str, asked: Fields) -> list[Pair]:
        """Return what an answer says of CORS, beside Vary.

        Source: Fetch, "HTTP responses" of the CORS protocol; Private Network Access, "CORS preflight".
        """
        origins = asked.get_all("origin")
        if self._is_open:
            found = [(b"Access-Control-Allow-Origin", b"*")]
        elif len(origins) == 1 and self._allows(origins[0]):
            found = [(b"Access-Control-Allow-Origin", origins[0].encode("latin-1"))]
        else:
            return []
        if not is_preflight(method, asked):
            return [*found, *self._actual]
        found += self._preflight
        if self._is_network_open and asked.get("access-control-request-private-network") == "true":
            found.append((b"Access-Control-Allow-Private-Network", b"true"))
        return found

    @property
    def depends_on_origin(self) -> bool:
        """Whether answers differ by Origin: then all of them say so, those without CORS fields, too.

        Source: Fetch, "CORS protocol and HTTP caches": a cache would else give one page what another one may see.
        """
        return not self._is_open

    def _allows(self, origin: str) -> bool:
        """Origins are compared octet by octet. Source: Fetch, "CORS check"."""
        if origin in self._exact:
            return True
        if not self._wild or len(origin) > _MAX_ORIGIN_CHARACTERS:
            return False
        return any(
            origin.startswith(before)
            and origin.endswith(after)
            and _SUBDOMAINS.fullmatch(origin, len(before), max(len(before), len(origin) - len(after))) is not None
            for before, after in self._wild
        )


def _list(name: bytes, values: Sequence[str]) -> list[Pair]:
    return [(name, ", ".join(values).encode("latin-1"))] if values else []
