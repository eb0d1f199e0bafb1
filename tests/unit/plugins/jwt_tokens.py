"""Issuers with real keys, their tokens, and the plugin that judges them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from headgate.plugins.jwt import Jwt
from headgate.proxy.config.secrets import SecretRef
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import Setup

from .exchanges import make_exchange

NOON = 1_780_000_000.0
ISSUER = "https://issuer.example"
AUDIENCE = "gateway"
SECRET = "a shared secret of thirty-two bytes or more"


@dataclass(frozen=True)
class Signer:
    """A private key, and its public part as a JWK."""

    algorithm: str
    private: Any
    jwk: Mapping[str, Any]

    def token(self, claims: Mapping[str, Any] | None = None, **header: Any) -> str:
        """Return a token with these claims beside the usual ones; None takes a claim out."""
        named = {"kid": self.jwk["kid"]} | header if "kid" in self.jwk else header
        return str(jwt.encode(usual(claims), self.private, algorithm=self.algorithm, headers=named))

    @property
    def public_pem(self) -> bytes:
        return bytes(self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@cache
def signer(algorithm: str, kid: str | None = "k1") -> Signer:
    """Make a key, once for each algorithm and kid."""
    named = {} if kid is None else {"kid": kid}
    if algorithm.startswith(("RS", "PS")):
        private: Any = rsa.generate_private_key(65537, 2048)
        jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    elif algorithm.startswith("ES"):
        curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm]
        private = ec.generate_private_key(curve)
        jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
        jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        return Signer(algorithm, SECRET, named)
    return Signer(algorithm, private, {"use": "sig", **jwk, **named})


def usual(claims: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the claims of a good token, with others in their place."""
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": int(NOON) + 600, "iat": int(NOON) - 5}
    return {name: value for name, value in {**base, **(claims or {})}.items() if value is not None}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: str | Mapping[str, Any], claims: str | Mapping[str, Any], by: Signer) -> str:
    """Sign a token of any text, as the library would not make it."""
    parts = [each if isinstance(each, str) else json.dumps(each) for each in (header, claims)]
    text = ".".join(encoded(part.encode()) for part in parts)
    algorithm = jwt.get_algorithm_by_name(by.algorithm)
    return f"{text}.{encoded(algorithm.sign(text.encode(), algorithm.prepare_key(by.private)))}"


def jwks(*signers: Signer) -> bytes:
    return json.dumps({"keys": [one.jwk for one in signers]}).encode()


def make_plugin(
    issuer: Mapping[str, Any], wall: Callable[[], float] = lambda: NOON, name: str = "corp", **settings: Any
) -> Jwt:
    """Return the plugin with one issuer."""
    one = {"issuer": ISSUER, "audience": [AUDIENCE], "tenant": "acme", **issuer}
    one = {key: value for key, value in one.items() if value is not None}
    plugin = Jwt(Jwt.Config.model_validate({"issuers": {name: one}, **settings}), wall)
    plugin.headgate_configure(Setup("jwt", None, {}))
    return plugin


def secret() -> SecretRef:
    return SecretRef("env:SECRET", SECRET)


def asking(token: str, *more: tuple[str, str], **how: Any) -> Exchange:
    return make_exchange(("Authorization", f"Bearer {token}"), *more, **how)
