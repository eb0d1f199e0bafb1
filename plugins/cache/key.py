"""What an answer is stored under."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Request
from ...proxy.verdicts import Target

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Uri(NamedTuple):
    """The URI that a request is for. `target` is path and query as they came."""

    scheme: str
    authority: str
    target: str


class Key(NamedTuple):
    """The primary key: what two requests must share before Vary is looked at.

    `tenant` is None for requests without an identity, and for all where the cache is shared. `groups` is empty where
    the route's own targets answer: a plugin that chooses others gets a space of its own.
    """

    uri: Uri
    route: str
    tenant: str | None
    groups: tuple[tuple[Target, ...], ...]

    @property
    def size_bytes(self) -> int:
        """The length of its strings."""
        return len(self.uri.authority) + len(self.uri.target) + len(self.route) + len(self.tenant or "")


def key_of(exchange: Exchange, *, is_shared: bool) -> Key:
    """Return the key of an exchange. A HEAD has the key of its GET: only answers to GET are stored."""
    route, identity = exchange.route, exchange.identity
    groups = exchange.groups
    tenant = None if is_shared or identity is None else identity.tenant
    own = () if groups is route.groups or groups == route.groups else groups
    # As Key(...), in half the time: it is made for every request.
    return tuple.__new__(Key, (uri_of(exchange.request), route.name, tenant, own))


def uri_of(request: Request) -> Uri:
    """Return the URI that a request is for. Source: RFC 9110 §7.1."""
    target = request.target
    if target[:1] != "/":
        target = _path_and_query(target)
    return tuple.__new__(Uri, (request.scheme, _authority(request.scheme, request.host), target))


def related_uris(uri: Uri, fields: Fields) -> Iterator[Uri]:
    """Yield the URIs in Location and Content-Location, where they have the origin of `uri`. Source: RFC 9111 §4.4."""
    base = f"{uri.scheme}://{uri.authority}{uri.target}"
    for name in ("location", "content-location"):
        for value in fields.get_all(name):
            related = _resolved(base, value)
            if related is not None and related[:2] == uri[:2]:
                yield related


def uri_from(absolute: str) -> Uri | None:
    """Return the URI that is written so; None for what is none."""
    try:
        scheme, authority, _, _, _ = urlsplit(absolute)
    except ValueError:  # such as a bracket without its pair
        return None
    return Uri(scheme, _authority(scheme, authority), _path_and_query(absolute.partition("#")[0]))


def _resolved(base: str, reference: str) -> Uri | None:
    try:
        return uri_from(urljoin(base, reference))
    except ValueError:
        return None


def _path_and_query(absolute: str) -> str:
    rest = absolute.partition("://")[2]
    start = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    target = rest[start:]
    return target if target.startswith("/") else f"/{target}"


def _authority(scheme: str, host: str) -> str:
    host = host.lower()
    return host.removesuffix(_DEFAULT_PORTS.get(scheme, ":")) if ":" in host else host
