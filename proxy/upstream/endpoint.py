"""Where one upstream listens."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a cluster.

    `sni` is the name asked for and checked in TLS, by default `host`. With `unix_path` the connection goes to that
    socket, and `host` and `port` only name the endpoint. `authority` is `host:port`, or the socket's path: the name of
    the endpoint in logs and errors.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    sni: str = ""
    unix_path: str = ""
    authority: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "authority", self._named())

    def _named(self) -> str:
        if self.unix_path:
            return f"unix:{self.unix_path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def server_name(self) -> str:
        """The name for SNI and for the check of the certificate."""
        return self.sni or self.host
