"""Exchanges and clusters to write requests for."""

from __future__ import annotations

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.forwarded import Origin, forwarded_fields
from headgate.proxy.lane.acceptor import shape
from headgate.proxy.lane.body import WholeBody
from headgate.proxy.upstream.cluster import Cluster, ClusterSettings
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.verdicts import Target

KINDS = {
    "plain": ClusterSettings("c", (Endpoint("h", 80),)),
    "credential": ClusterSettings("c", (Endpoint("h", 80),), credential=("Authorization", "Bearer z")),
    "set": ClusterSettings("c", (Endpoint("h", 80),), set_fields=(("X-Y!", "1"), ("Accept", "*/*"))),
    "removed": ClusterSettings("c", (Endpoint("h", 80),), removed_fields=("cookie", "X")),
    "preserved": ClusterSettings("c", (Endpoint("h", 80),), is_host_preserved=True),
}


def cluster_of(kind: str) -> Cluster:
    """Return a cluster that does something of its own to a request."""
    return Cluster(KINDS[kind], lambda: 0.5)


def prepare(exchange: Exchange, body: bytes) -> int:
    """Make an exchange one that can be sent; return the length to be told, -1: none."""
    whole = WholeBody(len(body))
    whole.complete(body)
    exchange.request.body = whole
    exchange.deadline = 1e9
    exchange.groups = ((Target("c"),),)
    return len(body) if body or exchange.request.method in ("POST", "PUT", "PATCH") else -1


def shape_lines(cluster: Cluster, origin: Origin) -> tuple[bytes, bytes, frozenset[bytes], bytes]:
    """Return host, lines of origin, dropped names and added lines, as the lane writes them."""
    made = shape(cluster)
    host = origin.host if made.is_host_preserved else cluster.members[0].endpoint.authority
    told = b"".join(b"%b: %b\r\n" % pair for pair in forwarded_fields(origin, "x-forwarded"))
    return host.encode("latin-1"), told, made.dropped, made.added
