"""Whether PEM files can be used, found out while loading."""

from __future__ import annotations

import ssl
from pathlib import Path


def why_unusable(certificate: Path, key: Path) -> str | None:
    """Return why the two files make no TLS server, or None if they do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the key in `{key}` does not belong to the certificate in `{certificate}`, wanted a pair"
        return f"`{certificate}` and `{key}` are no certificate and its key, wanted both in PEM, without a password"
    except (OSError, ValueError):
        return f"`{certificate}` or `{key}` cannot be read, wanted readable files in PEM"
    return None


def why_untrusted(authorities: Path) -> str | None:
    """Return why the file names no authorities, or None if it does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(authorities)
    except (OSError, ValueError):  # an ssl.SSLError is an OSError
        return f"`{authorities}` holds no certificates, wanted authorities in PEM"
    return None


def _no_password() -> str:
    return ""  # without it OpenSSL asks on the terminal
