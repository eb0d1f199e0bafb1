"""The limit on requests by client address."""

from __future__ import annotations

import socket
from collections import OrderedDict

from ..ext.limiter_cells import NS_PER_S, Limit, admit
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
    """One bucket per client address, for at most `max_addresses` of them.

    When the table is full the address that was idle for longest gives way: newcomers are never locked out by a crowd.
    The limit of an address is exact as long as no more than `max_addresses` others come between two of its requests;
    a crowd larger than that is bounded by `max_addresses` buckets only.
    """

    __slots__ = ("_limit", "_max_addresses", "_tats")

    def __init__(self, limit: Limit, max_addresses: int) -> None:
        if max_addresses < 1:
            raise ValueError(f"expected room for at least 1 address, got {max_addresses}")
        self._limit = limit
        self._max_addresses = max_addresses
        self._tats: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tats)

    def take(self, address: str, now_s: float) -> float:
        """Take one unit in the name of `address`; return 0 where it was there, else the seconds until it will be.

        Cost: O(1).
        """
        group = address_group(address)
        tats = self._tats
        tats[group], decision = admit(tats.get(group, 0), self._limit, 1, int(now_s * NS_PER_S))
        tats.move_to_end(group)
        if len(tats) > self._max_addresses:
            tats.popitem(last=False)
        return (decision.retry_after_ns or 0) / NS_PER_S

    def check(self, address: str, now_s: float) -> None:
        """Take one unit in the name of `address`. Raises: GatewayError `rate_limited` where there is none."""
        wait_s = self.take(address, now_s)
        if wait_s > 0:
            retry_after = str(max(1, int(-(-wait_s // 1)))).encode()
            raise GatewayError(
                "rate_limited", "the limit by address of the listener", fields=((b"Retry-After", retry_after),)
            )
