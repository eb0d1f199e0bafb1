"""The limit on requests by client address."""

from __future__ import annotations

import socket

from ..ext.limiter_cells import NS_PER_S, Limit, LimiterCells
from .errors import GatewayError

_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 §2.5.5.2
_IPV6_GROUP_BYTES = 8


def address_group(address: str) -> bytes:
    """Return what counts as one client: an IPv4 address, or the /64 of an IPv6 address, the least that a site is given.

    An IPv4-mapped address is the IPv4 address. Whatever is no address (a Unix socket's peer, an obfuscated name of a
    Forwarded field) is one group together, so that inventing names gains nothing.
    """
    try:
        return socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        pass
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return b""
    return packed[12:] if packed.startswith(_MAPPED) else packed[:_IPV6_GROUP_BYTES]


class AddressLimit:
    """One bucket per client address, for as many of them as its table is made for.

    When the table is full the address whose bucket will be full the soonest gives way, with what it has used: newcomers
    are never locked out by a crowd. The limit of an address is exact as long as no more others than that are about.
    """

    __slots__ = ("_cells", "_limit")

    def __init__(self, limit: Limit, cells: LimiterCells) -> None:
        """`cells` are a table that forgets; whoever has the same counts on in it."""
        self._limit = limit
        self._cells = cells

    def take(self, address: str, now_s: float) -> float:
        """Take one unit in the name of `address`; return 0 where it was there, else the seconds until it will be.

        Cost: O(1).
        """
        decision = self._cells.admit((address_group(address),), self._limit, 1, int(now_s * NS_PER_S))
        return (decision.retry_after_ns or 0) / NS_PER_S

    def check(self, address: str, now_s: float) -> None:
        """Take one unit in the name of `address`. Raises: GatewayError `rate_limited` where there is none."""
        wait_s = self.take(address, now_s)
        if wait_s > 0:
            retry_after = str(max(1, int(-(-wait_s // 1)))).encode()
            raise GatewayError(
                "rate_limited", "the limit by address of the listener", fields=((b"Retry-After", retry_after),)
            )
