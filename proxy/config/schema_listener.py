"""Listeners, and the admin address."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .addresses import HostName, ListenAddress, Network
from .files import ReadableFile
from .pem import why_unusable
from .secrets import SecretRef
from .section import Section, Whole
from .units import ByteSize, Duration, RateValue, Timeout
from .wording import FieldError


class ListenerTls(Section):
    """The certificate that a listener shows."""

    certificate: ReadableFile = Field(description="PEM file of the certificate and its chain.")
    key: ReadableFile = Field(description="PEM file of the private key.")
    reload: Duration = Field(
        default=10.0,
        description="How often the files are looked at for a change; `0`: only when the configuration is reloaded.",
    )

    @model_validator(mode="after")
    def _check_pair(self) -> ListenerTls:
        reason = why_unusable(self.certificate, self.key)
        if reason is not None:
            raise FieldError(("certificate",), reason)
        return self


class ListenerLimits(Section):
    """What one listener accepts at most."""

    head: Annotated[ByteSize, Field(ge=256)] = Field(default=32 << 10, description="Size of a request head.")
    line: Annotated[ByteSize, Field(ge=64)] = Field(default=8 << 10, description="Size of the request line.")
    fields: Annotated[Whole, Field(ge=1, le=10_000)] = Field(default=100, description="Number of fields of a request.")
    connections: Annotated[Whole, Field(ge=1, le=1_000_000)] = Field(
        default=10_000, description="Number of open connections."
    )


class ListenerTimeouts(Section):
    """How long a client may take."""

    head: Timeout = Field(default=10.0, description="Time for a whole request head, from its first byte.")
    body: Timeout = Field(default=30.0, description="Silence while bytes of a request body are due.")
    idle: Timeout = Field(default=75.0, description="Time that a connection is kept without a request.")
    write: Timeout = Field(
        default=60.0, description="Time during which a client reads nothing of an answer that waits for it."
    )
    tunnel: Timeout = Field(default=3600.0, description="Time that a WebSocket is kept while no byte passes.")


class AddressRateLimit(Section):
    """A limit by client address, applied before anything else is done."""

    rate: RateValue = Field(description="Requests of one address, sustained.")
    burst: Annotated[Whole, Field(ge=1, le=1_000_000)] = Field(description="Requests of one address at once.")
    max_addresses: Annotated[Whole, Field(ge=1, le=10_000_000)] = Field(
        default=100_000,
        description="Number of addresses remembered; of more, the one nearest to its whole burst is forgotten first.",
    )


class Listener(Section):
    """One address that is listened on."""

    address: ListenAddress = Field(
        description="Where to listen: `host:port`, IPv6 in brackets, port 0 for any free one."
    )
    tls: ListenerTls | None = Field(default=None, description="Certificate; without it the listener speaks plain HTTP.")
    limits: ListenerLimits = Field(default=ListenerLimits(), description="What is accepted at most.")
    timeouts: ListenerTimeouts = Field(default=ListenerTimeouts(), description="How long a client may take.")
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="Networks of proxies whose X-Forwarded fields are believed."
    )
    forwarded: Literal["x-forwarded", "forwarded", "both"] = Field(
        default="x-forwarded", description="Which fields tell upstreams of the client."
    )
    rate_limit: AddressRateLimit | None = Field(default=None, description="Limit by client address.")


class Admin(Section):
    """The address for operators: health, metrics, reload."""

    address: ListenAddress = Field(description="Where to listen: `host:port`; keep it on loopback.")
    token: SecretRef | None = Field(
        default=None, description="Bearer token that every changing call needs; without it there are none."
    )
    hosts: tuple[HostName, ...] = Field(
        default=(), description="Host names that calls may be addressed to, besides the address itself and `localhost`."
    )
