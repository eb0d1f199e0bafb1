"""The keys of one issuer, each for the algorithms that it is made for and no other."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jwt import PyJWK, PyJWS, PyJWTError

from .token import BadTokenError, Token

MAX_KEYS = 100
MIN_SECRET_BYTES = 32  # RFC 7518 §3.2: as long as the digest, for HS256
_MIN_RSA_BITS = 2048  # RFC 7518 §3.3
SYMMETRIC = ("HS256", "HS384", "HS512")
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "Ed25519": ("EdDSA",)}
ASYMMETRIC = (*_RSA, "ES256", "ES384", "ES512", "EdDSA")
_jws = PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})


class BadKeysError(ValueError):
    """A document that holds no keys that can be used."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `by_algorithm` binds it to an algorithm: what a token's header says can only choose among those."""

    kid: str | None
    by_algorithm: Mapping[str, PyJWK]
    material: str  # by which it is told from another one

    def check(self, token: Token) -> None:
        """See that the signature is of this key. Raises: BadTokenError. Cost: thousands of look-ups."""
        bound = self.by_algorithm.get(token.algorithm)
        if bound is None:
            raise BadTokenError("the key is not for this `alg`")
        try:
            _jws.decode_complete(token.text, bound, algorithms=[token.algorithm])
        except PyJWTError as error:
            raise BadTokenError(f"the signature is not of this key ({type(error).__name__})") from error


class KeySet:
    """Keys by their `kid`."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        self._by_kid = {key.kid: key for key in self.keys if key.kid is not None}

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key that a token asks for; one that names none gets the only one for its algorithm, if so."""
        if kid is not None:
            return self._by_kid.get(kid)
        fitting = [key for key in self.keys if algorithm in key.by_algorithm]
        return fitting[0] if len(fitting) == 1 else None


def secret_key(secret: bytes, algorithms: Iterable[str]) -> KeySet:
    """Return the key set of a secret that the issuer and the gateway share."""
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(secret).rstrip(b"=").decode()}
    return KeySet([Key(None, {name: PyJWK(jwk, name) for name in algorithms}, "")])


def read_key_set(data: bytes, algorithms: Iterable[str]) -> KeySet:
    """Return the public keys of a JWK Set that are for `algorithms`; others in it are left out.

    Raises: BadKeysError for what is no such document, has too many keys, one `kid` twice, or none that can be used.
    Source: RFC 7517 §4, §5.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise BadKeysError("expected a JWK Set, got no JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise BadKeysError("expected a JWK Set: an object with a list `keys`")
    if len(listed) > MAX_KEYS:
        raise BadKeysError(f"expected at most {MAX_KEYS} keys, got {len(listed)}")
    allowed = frozenset(algorithms)
    keys = [key for jwk in listed if (key := _key(jwk, allowed)) is not None]
    kids = [key.kid for key in keys if key.kid is not None]
    if len(set(kids)) < len(kids):
        raise BadKeysError("expected each `kid` once, got one twice")
    if not keys:
        raise BadKeysError(f"expected a key for {', '.join(sorted(allowed))}, got {len(listed)} others")
    return KeySet(keys)


def _key(jwk: Any, allowed: frozenset[str]) -> Key | None:
    """Return a key, or None for one of another use. A secret has no business in a public document."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    kid, operations = jwk.get("kid"), jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations or not isinstance(kid, str | None):
        return None
    names = _RSA if jwk.get("kty") == "RSA" else _CURVES.get(str(jwk.get("crv")), ())
    wanted = [name for name in names if name in allowed and jwk.get("alg", name) == name]
    try:
        bound = {name: PyJWK(jwk, name) for name in wanted}
    except (PyJWTError, ValueError, TypeError):
        return None
    if any(getattr(key.key, "key_size", _MIN_RSA_BITS) < _MIN_RSA_BITS for key in bound.values() if names is _RSA):
        return None
    return Key(kid, bound, json.dumps(jwk, sort_keys=True)) if bound else None
