"""What a listener allows, ready for its connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from ...ext.http1 import HeadLimits


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Limits, deadlines (seconds) and trust of one listener."""

    head_limits: HeadLimits = field(default_factory=HeadLimits)
    max_connections: int = 10_000
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    write_timeout_s: float = 60.0
    tunnel_timeout_s: float = 3600.0
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    forwarded: Literal["x-forwarded", "forwarded", "both"] = "x-forwarded"
    is_tls: bool = False
