"""Clusters: named groups of endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from .addresses import Endpoint, EndpointUrl, HostName
from .files import ReadableFile
from .header_edits import EditedName, RequestHeaderEdits
from .pem import why_untrusted
from .schema_health import Breaker, HealthCheck, Outlier, RetryBudget
from .secrets import SecretRef
from .section import Flag, Section, Whole
from .units import Duration, Timeout
from .wording import FieldError


class ClusterTls(Section):
    """How the endpoints' certificates are checked."""

    verify: Flag = Field(default=True, description="Whether certificate and name are checked.")
    ca: ReadableFile | None = Field(
        default=None, description="PEM file of the authorities to trust; without it the system's are."
    )
    sni: HostName | None = Field(
        default=None, description="Name to ask for and to check; without it the host of the endpoint."
    )

    @field_validator("ca")
    @classmethod
    def _check_authorities(cls, ca: Path | None) -> Path | None:
        reason = why_untrusted(ca) if ca is not None else None
        if reason is not None:
            raise ValueError(reason)
        return ca


class ClusterTimeouts(Section):
    """How long an endpoint may take."""

    connect: Timeout = Field(default=2.0, description="Time for a connection, with TLS.")
    head: Timeout = Field(default=60.0, description="Silence between the request and the head of the answer.")
    first_event: Timeout = Field(default=60.0, description="Silence between the head and the first event or byte.")
    idle: Timeout = Field(default=60.0, description="Silence between pieces of an answer.")


class PoolLimits(Section):
    """Connections to each endpoint."""

    max_connections: Annotated[Whole, Field(ge=1, le=65_535)] = Field(default=256, description="Number of connections.")
    max_waiting: Annotated[Whole, Field(ge=0, le=1_000_000)] = Field(
        default=1024, description="Number of requests that wait for a connection."
    )
    max_idle: Annotated[Whole, Field(ge=0, le=65_535)] = Field(
        default=64, description="Number of connections kept without a request."
    )
    idle_timeout: Timeout = Field(default=30.0, description="Time that a connection is kept without a request.")


class Cluster(Section):
    """Endpoints that are interchangeable."""

    endpoints: tuple[Endpoint, ...] = Field(
        min_length=1,
        description="URLs of the members: `http://host:port`, `https://host` or `unix:/path`, without a path.",
    )
    tls: ClusterTls = Field(default=ClusterTls(), description="How certificates of `https` endpoints are checked.")
    credential: SecretRef | None = Field(
        default=None, description="Secret that is sent in place of the client's credential: `env:NAME` or `file:PATH`."
    )
    credential_header: EditedName = Field(default="authorization", description="Field that carries the credential.")
    credential_prefix: Annotated[str, Field(max_length=64, pattern="^[ -~]*$")] = Field(
        default="Bearer ", description="What stands before the credential in its field."
    )
    headers: RequestHeaderEdits = Field(
        default=RequestHeaderEdits(), description="Fields to set on and remove from each request."
    )
    preserve_host: Flag = Field(
        default=False, description="Whether the client's Host is sent instead of the endpoint's."
    )
    timeouts: ClusterTimeouts = Field(default=ClusterTimeouts(), description="How long an endpoint may take.")
    pool: PoolLimits = Field(default=PoolLimits(), description="Connections to each endpoint.")
    health_check: HealthCheck | None = Field(
        default=None, description="Requests that ask every endpoint whether it is well; without it there are none."
    )
    outlier: Outlier = Field(default=Outlier(), description="When an endpoint that fails is left out.")
    slow_start: Duration = Field(
        default=10.0, description="Time in which an endpoint that is well again gets back its whole share."
    )
    breaker: Breaker = Field(default=Breaker(), description="When a target of this cluster is asked after the others.")
    retry_budget: RetryBudget = Field(
        default=RetryBudget(), description="How many retries there may be over all requests."
    )

    @field_validator("endpoints")
    @classmethod
    def _check_distinct(cls, endpoints: tuple[EndpointUrl, ...]) -> tuple[EndpointUrl, ...]:
        seen: set[EndpointUrl] = set()
        for place, endpoint in enumerate(endpoints):
            if endpoint in seen:
                raise FieldError((place,), f"`{endpoint}` is listed twice, wanted each endpoint once")
            seen.add(endpoint)
        return endpoints

    @model_validator(mode="after")
    def _check_credential_field(self) -> Cluster:
        name = self.credential_header
        if self.credential is not None and (name in self.headers.set or name in self.headers.remove):
            raise FieldError(("headers",), f"`{name}` carries the credential, wanted it in `credential` only")
        return self
