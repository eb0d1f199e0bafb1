"""TLS towards upstreams."""

from __future__ import annotations

import ssl


def client_context(
    verify: bool = True, ca_file: str | None = None, cert_file: str | None = None, key_file: str | None = None
) -> ssl.SSLContext:
    """Return a context for connections to upstreams: TLS 1.2 or later, HTTP/1.1.

    `ca_file` replaces the system's authorities; `cert_file` (with `key_file`, if the key is not in it) is what the
    gateway shows of itself. Without `verify` any certificate and name is taken.
    Raises: OSError (ssl.SSLError is one) for a file that cannot be read or used.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file is not None:
        context.load_cert_chain(cert_file, key_file)
    return context
