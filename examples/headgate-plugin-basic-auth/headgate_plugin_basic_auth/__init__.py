"""Users by name and password (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from headgate.proxy.config.secrets import SecretRef
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Identity, Reject


class BasicAuth:
    """Knows users by `Authorization: Basic`; other schemes are left to the next plugin."""

    class Config(BaseModel):
        """Settings under `plugins.basic_auth`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        realm: str = Field(default="headgate", pattern=r'^[^"\\]*$', description="What clients show when they ask.")
        users: Mapping[str, SecretRef] = Field(min_length=1, description="Passwords by user: references to secrets.")

    def __init__(self, config: Config) -> None:
        self._challenge = f'Basic realm="{config.realm}", charset="UTF-8"'
        self._passwords = {user: secret.reveal().encode() for user, secret in config.users.items()}

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Identity | Reject | None:
        """Compare the password; the time that it takes tells nothing of it."""
        scheme, _, credential = (exchange.request.fields.get("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(credential.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return self._refuse("the credential is no base64 of UTF-8")
        expected = self._passwords.get(user)
        if not hmac.compare_digest(password.encode(), expected or b"") or expected is None:
            return self._refuse("no such user, or not this password")
        exchange.request.fields.remove("authorization")  # no service has to see it
        return Identity(key_id=user, tenant=user)

    def _refuse(self, detail: str) -> Reject:
        return Reject("unauthenticated", detail=detail, fields=(("WWW-Authenticate", self._challenge),))
