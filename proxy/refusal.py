"""A plugin's refusal, as an error."""

from __future__ import annotations

from .errors import GatewayError
from .verdicts import Reject


def rejected(verdict: Reject) -> GatewayError:
    """Return a plugin's refusal as an error of the table."""
    fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in verdict.fields)
    return GatewayError(verdict.kind, verdict.detail, public=verdict.message or None, fields=fields)
