"""What can be set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ...proxy.buckets import By, ByValue, Percent
from ...proxy.config.addresses import Endpoint
from ...proxy.config.header_edits import RequestHeaderEdits
from ...proxy.config.schema_cluster import ClusterTls
from ...proxy.config.secrets import SecretRef
from ...proxy.config.section import Flag, ModelName, Section, Whole
from ...proxy.config.units import ByteSize, Timeout
from ...proxy.endpoints import endpoint_of
from ...proxy.exchange.plan import Timeouts
from ...proxy.upstream.cluster import ClusterSettings
from ...proxy.upstream.pool import PoolLimits


class MirrorTarget(Section):
    """Where copies go. No cluster: what happens there must not count against a target of exchanges."""

    endpoints: tuple[Endpoint, ...] = Field(
        min_length=1, description="URLs as those of a cluster; each copy goes to one of them."
    )
    tls: ClusterTls = Field(default=ClusterTls(), description="How certificates of `https` endpoints are checked.")
    credential: SecretRef | None = Field(
        default=None, description="Secret that is sent as `Authorization: Bearer`: `env:NAME` or `file:PATH`."
    )
    headers: RequestHeaderEdits = Field(
        default=RequestHeaderEdits(), description="Fields to set on and remove from each copy."
    )
    model: ModelName | None = Field(
        default=None, description="Model to ask for; without it that of the exchange. For bodies that name one."
    )


class MirrorConfig(Section):
    """Settings."""

    to: MirrorTarget = Field(description="Where copies go.")
    share: Percent = Field(default=100.0, description="Percentage of the callers whose requests are copied.")
    by: ByValue = Field(
        default=By("request"),
        description="What is one caller: `request`, `key`, `tenant`, `address`, `field:NAME` or `cookie:NAME`.",
    )
    salt: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Text that is hashed with the caller; without it the plugin's name."
    )
    max_parallel: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=16, description="Copies that are under way at once; others wait."
    )
    max_held: Annotated[ByteSize, Field(ge=1 << 16)] = Field(
        default=16 << 20, description="Most bytes of copies, waiting and under way; beyond it a request is not copied."
    )
    max_body: ByteSize = Field(default=1 << 20, description="Largest body that is copied.")
    max_answer: ByteSize = Field(default=16 << 20, description="Largest answer that is read to its end.")
    timeout: Timeout = Field(
        default=30.0, description="Time for a copy, from the end of its exchange to that of its answer."
    )
    credentials: Flag = Field(default=False, description="Whether the client's credentials and cookies are sent on.")
    compare: Literal["nothing", "status", "body"] = Field(
        default="nothing", description="What of the two answers is compared, and counted."
    )


def settings_of(name: str, config: MirrorConfig) -> ClusterSettings:
    """Return how copies are sent."""
    to = config.to
    return ClusterSettings(
        name=name,
        endpoints=tuple(endpoint_of(url, to.tls) for url in to.endpoints),
        timeouts=Timeouts(config.timeout, config.timeout, config.timeout),
        pool=PoolLimits(max_connections=config.max_parallel, connect_timeout_s=config.timeout),
        credential=("authorization", f"Bearer {to.credential.reveal()}") if to.credential is not None else None,
        set_fields=tuple(to.headers.set.items()),
        removed_fields=tuple(to.headers.remove),
    )
