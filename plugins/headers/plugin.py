"""The plugin `headers`: fields of answers that keep browsers out of trouble."""

from __future__ import annotations

from collections.abc import Iterable

from ...proxy.by_route import ByRoute
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Pair
from ...proxy.exchange.message import Response
from ...proxy.hookspecs import Setup, hookimpl
from .config import HeadersConfig, HstsConfig
from .cors import NAMES, Cors, is_preflight

_TELLING = (b"server", b"x-powered-by")  # of software and versions
_VARY = b"vary"
_COMMON = (("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"))
_PRESETS: dict[str, tuple[tuple[str, str], ...]] = {
    "none": (),
    "api": (
        *_COMMON,
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
    ),
    "page": (
        *_COMMON,
        ("Content-Security-Policy", "frame-ancestors 'self'"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("X-Frame-Options", "SAMEORIGIN"),
    ),
}


class Headers:
    """Set and remove fields of every answer of a route, and answer the preflights of CORS.

    Preflights are answered in `auth`, since they carry no credential, or in `aggregate` where nobody has to have one.
    """

    Config = HeadersConfig
    RouteOptions = HeadersConfig

    def __init__(self, config: HeadersConfig) -> None:
        self._policies = ByRoute(config, _Policy)
        self._name = "headers"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name."""
        self._name = setup.name

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Response | None:
        """Answer a preflight before anybody asks for a credential."""
        return self._preflight(exchange)

    @hookimpl
    def headgate_aggregate(self, exchange: Exchange) -> Response | None:
        """Answer a preflight of a route that asks for none."""
        return self._preflight(exchange)

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Set and remove fields."""
        self._policies.of(self._name, exchange.route).apply(exchange, response)

    def _preflight(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        if request.method != "OPTIONS" or not is_preflight(request.method, request.fields):
            return None
        policy = self._policies.of(self._name, exchange.route)
        if policy.cors is None:
            return None
        response = Response(204)
        policy.apply(exchange, response)
        return response


class _Policy:
    """What is done to the answers of one route. To do it twice changes nothing."""

    __slots__ = ("_absent", "_dropped", "_hsts", "_set", "cors")

    def __init__(self, config: HeadersConfig) -> None:
        self.cors = Cors(config.cors) if config.cors is not None else None
        self._set = _pairs(config.set.items())
        self._absent = [(name.lower(), (name, value)) for name, value in _pairs(_PRESETS[config.preset])]
        self._hsts = _hsts(config.hsts) if config.hsts is not None else None
        dropped = {name.lower() for name, _ in self._set} | {name.encode("latin-1") for name in config.remove}
        dropped |= set(_TELLING if config.preset != "none" else ())
        dropped |= NAMES if self.cors is not None else set()
        dropped |= {b"strict-transport-security"} if self._hsts is not None else set()
        self._dropped = frozenset(dropped)

    def apply(self, exchange: Exchange, response: Response) -> None:
        """Change the fields of an answer."""
        request = exchange.request
        kept = [(name.lower(), (name, value)) for name, value in response.fields.raw]
        raw = [pair for name, pair in kept if name not in self._dropped]
        names = {name for name, _ in kept} - self._dropped
        raw += self._set
        names.update(name.lower() for name, _ in self._set)
        raw += [pair for name, pair in self._absent if name not in names]
        if self._hsts is not None and request.scheme == "https":  # RFC 6797 §7.2: never without TLS
            raw.append(self._hsts)
        if self.cors is not None:
            raw += self.cors.fields(request.method, request.fields)
            if self.cors.depends_on_origin and not _varies(raw):
                raw.append((b"Vary", b"Origin"))
        response.fields.raw = raw


def _varies(raw: list[Pair]) -> bool:
    """Whether the answer says already that it depends on Origin."""
    listed = b",".join(value for name, value in raw if name.lower() == _VARY)
    return not {b"origin", b"*"}.isdisjoint(part.strip().lower() for part in listed.split(b","))


def _pairs(fields: Iterable[tuple[str, str]]) -> list[Pair]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


def _hsts(hsts: HstsConfig) -> Pair:
    """Source: RFC 6797 §6.1."""
    value = f"max-age={hsts.max_age:.0f}" + "; includeSubDomains" * hsts.subdomains + "; preload" * hsts.preload
    return b"Strict-Transport-Security", value.encode()
