"""Who the client is, behind proxies that are trusted; and what upstreams are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from .exchange.fields import Fields
from .http1.fields import HOP_BY_HOP

Network = IPv4Network | IPv6Network

# What a client may not say for itself: each names an address, a scheme, a host, or a path that stages decide on.
SPOOFABLE = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-real-ip",
        b"x-client-ip",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-forwarded-for",
        b"x-forwarded",
        b"x-forwarded-scheme",
        b"x-forwarded-path",
        b"x-forwarded-uri",
        b"x-cluster-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"fastly-client-ip",
        b"proxy",
    }
)
# What frames or addresses a message, or is ours to say: an upstream that reads `_` as `-` must not find it.
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"authorization", b"x-api-key"})
# What is written anew for every target.
OWN = frozenset({b"host", b"content-length", b"via", b"x-request-id", b"traceparent", b"expect", b"http2-settings"})
_MAX_HOPS = 32


def is_spoofable(name: bytes) -> bool:
    """Whether a client may not set the field `name` (lower case); `_` counts as `-`, as many servers read it."""
    canonical = name.replace(b"_", b"-")
    if canonical in SPOOFABLE or canonical.startswith(b"x-headgate-"):
        return True
    return canonical != name and canonical in _FRAMING


def is_ours(name: bytes) -> bool:
    """Whether the gateway writes the field `name` (lower case) of a request itself, or leaves it out."""
    return name in HOP_BY_HOP or name in OWN or is_spoofable(name)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from. `chain` is the trusted part of X-Forwarded-For before the peer."""

    peer: str
    client: str
    scheme: str
    host: str
    chain: tuple[str, ...] = ()


def origin_of(peer: str, is_tls: bool, host: str, fields: Fields, trusted: tuple[Network, ...]) -> Origin:
    """Tell the client's address, scheme and host.

    Only a trusted peer's X-Forwarded-For counts, read from the right up to the first address that is not trusted; its
    X-Forwarded-Proto and -Host likewise. An entry that is no address ends the reading.
    """
    scheme = "https" if is_tls else "http"
    if not trusted or not _is_trusted(peer, trusted):
        return Origin(peer, peer, scheme, host)
    hops = [hop.strip() for value in fields.get_all("x-forwarded-for") for hop in value.split(",")][-_MAX_HOPS:]
    client, chain = peer, []
    for hop in reversed(hops):
        address = _address(hop)
        if address is None:
            break
        client = str(address)
        chain.append(client)
        if not _is_trusted(client, trusted):
            break
    said = (fields.get("x-forwarded-proto") or "").split(",")[-1].strip().lower()
    forwarded_host = (fields.get("x-forwarded-host") or "").split(",")[-1].strip()
    return Origin(
        peer, client, said if said in ("http", "https") else scheme, forwarded_host or host, tuple(reversed(chain))
    )


def forwarded_fields(origin: Origin, style: str) -> list[tuple[bytes, bytes]]:
    """Return the fields that tell an upstream where the request came from (RFC 7239 for `forwarded`)."""
    # A zone means nothing on another machine; a Unix socket has no address (RFC 7239 §6.2).
    hops = (*origin.chain, origin.peer.partition("%")[0] or "unknown")
    pairs: list[tuple[str, str]] = []
    if style in ("x-forwarded", "both"):
        pairs += [("x-forwarded-for", ", ".join(hops)), ("x-forwarded-proto", origin.scheme)]
        pairs.append(("x-forwarded-host", origin.host))
    if style in ("forwarded", "both"):
        nodes = [f"for={_node(hop)}" for hop in hops]
        nodes[-1] += f";host={_quoted(origin.host)};proto={origin.scheme}"
        pairs.append(("forwarded", ", ".join(nodes)))
    return [(name.encode(), value.encode("latin-1")) for name, value in pairs]


def _is_trusted(text: str, trusted: tuple[Network, ...]) -> bool:
    address = _address(text)
    return address is not None and any(address.version == net.version and address in net for net in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _node(address: str) -> str:
    return f'"[{address}]"' if ":" in address else address


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
