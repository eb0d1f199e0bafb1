"""Endpoints out of the configuration."""

from __future__ import annotations

from .config.addresses import EndpointUrl
from .config.schema_cluster import ClusterTls
from .upstream.endpoint import Endpoint
from .upstream.tls import client_context


def endpoint_of(url: EndpointUrl, tls: ClusterTls) -> Endpoint:
    """Return the endpoint at `url`; `tls` says how its certificate is checked."""
    context = client_context(tls.verify, str(tls.ca) if tls.ca else None) if url.scheme == "https" else None
    return Endpoint(url.host, url.port, context, tls.sni or url.host, url.path)
