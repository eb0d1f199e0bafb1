"""Where to listen, where to connect, whom to trust."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import PlainValidator

from .wording import Words, shown

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_VISIBLE = re.compile(r"[!-~]{1,400}")
_MAX_HOST_CHARACTERS = 253
_PORTS = {"http": 80, "https": 443}
_ADDRESS_WORDS = Words("an address", "addresses", "`127.0.0.1:8080` or `[::1]:8080`")
_ENDPOINT_WORDS = Words(
    "a URL without a path", "URLs", "`http://10.0.0.1:8000`, `https://api.example.com` or `unix:/run/a.sock`"
)
_NETWORK_WORDS = Words("a network", "networks", "`10.0.0.0/8` or `::1/128`")


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name or an IP address, without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class EndpointUrl:
    """Where one member of a cluster is: `host` and `port`, or for `unix` the `path` of its socket."""

    scheme: Literal["http", "https", "unix"]
    host: str
    port: int
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent there stays on this machine."""
        if self.scheme == "unix" or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.path}"
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"


def parse_address(value: object) -> Address:
    """Parse `host:port`. Raises: ValueError."""
    if isinstance(value, Address):
        return value
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(f"got {shown(value)}, wanted {_ADDRESS_WORDS}, with a port from 0 to 65535")
    return Address(_checked_host(host, value, _ADDRESS_WORDS), int(port))


def parse_endpoint(value: object) -> EndpointUrl:
    """Parse the URL of an endpoint. Raises: ValueError, which does not show a password."""
    if isinstance(value, EndpointUrl):
        return value
    if not isinstance(value, str):
        raise ValueError(f"got {shown(value)}, wanted {_ENDPOINT_WORDS}")
    if value.startswith("unix:"):
        return _unix_endpoint(value)
    if "@" in value:
        raise ValueError("got a URL with a user or password, wanted `credential: env:NAME` beside `endpoints`")
    if not _VISIBLE.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted {_ENDPOINT_WORDS}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"got {shown(value)}, wanted {_ENDPOINT_WORDS}") from None
    if parts.scheme not in _PORTS or not parts.netloc or port == 0 or "\\" in value:
        raise ValueError(f"got {shown(value)}, wanted {_ENDPOINT_WORDS}")
    if parts.path or parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError(f"got {shown(value)}, wanted a URL without a path: the request's own path is kept")
    host = _checked_host(_host_part(parts), value, _ENDPOINT_WORDS)
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return EndpointUrl(scheme, host, _PORTS[scheme] if port is None else port)


def parse_network(value: object) -> IPv4Network | IPv6Network:
    """Parse an address with a prefix length; a bare address is that address alone. Raises: ValueError."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError(f"got {shown(value)}, wanted {_NETWORK_WORDS}")
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        near = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"got {shown(value)}, wanted {_NETWORK_WORDS}") from None
    raise ValueError(f"got {shown(value)}, which has bits set behind its prefix, did you mean `{near}`?")


def parse_host(value: object) -> str:
    """Return the host name or IP address in lower case, without brackets. Raises: ValueError."""
    words = Words("a host without a port", "hosts", "`gate.example.com`")
    return _checked_host(value, value, words) if isinstance(value, str) else _refuse_host(value, words)


def _unix_endpoint(value: str) -> EndpointUrl:
    path = value.removeprefix("unix:")
    if not path.startswith("/") or "\0" in path or len(path.encode()) > 107:  # sun_path of Linux holds 108 bytes
        raise ValueError(f"got {shown(value)}, wanted `unix:` and an absolute path of at most 107 bytes")
    return EndpointUrl("unix", "", 0, path)


def _host_part(parts: SplitResult) -> str:
    host, colon, port = parts.netloc.rpartition(":")
    return host if colon and (not port or port.isdigit()) else parts.netloc


def _checked_host(host: str, value: object, words: Words) -> str:
    if host.startswith("["):
        try:
            return str(IPv6Address(host.removeprefix("[").removesuffix("]")))
        except ValueError:
            return _refuse_host(value, words)
    if len(host) > _MAX_HOST_CHARACTERS or not _HOST.fullmatch(host):
        return _refuse_host(value, words)
    if host.replace(".", "").isdigit():
        try:
            return str(ip_address(host))
        except ValueError:
            return _refuse_host(value, words)
    return host.lower()


def _refuse_host(value: object, words: Words) -> str:
    raise ValueError(f"got {shown(value)}, wanted {words}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


ListenAddress = Annotated[Address, PlainValidator(parse_address), _ADDRESS_WORDS]
Endpoint = Annotated[EndpointUrl, PlainValidator(parse_endpoint), _ENDPOINT_WORDS]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(parse_network), _NETWORK_WORDS]
HostName = Annotated[str, PlainValidator(parse_host), Words("a host name", "host names")]
