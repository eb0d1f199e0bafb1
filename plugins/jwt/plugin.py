"""The plugin `jwt`: who asks, by a JSON Web Token."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

from ...ext.cache_core import CacheCore
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Pair
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.observe.metrics import Counter, Registry
from ...proxy.verdicts import Identity, Reject
from .claims import judge
from .config import IssuerConfig, JwtConfig, JwtOptions
from .fetch import fetcher
from .identity import identity_of
from .keys import Key, read_key_set, secret_key
from .source import FetchedKeys, Keys, Pace, StaticKeys
from .token import BadTokenError, Token, is_jwt, parse

_AUTHORIZATION = b"authorization"
_CHALLENGE = 'Bearer realm="headgate"'
Verdict = Identity | Reject


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer with its keys."""

    name: str
    config: IssuerConfig
    keys: Keys


@dataclass(slots=True)
class Good:
    """A token whose signature is known to be right, as long as no key of its issuer was withdrawn."""

    identity: Identity
    keys: Keys
    version: int


@dataclass(slots=True)
class Asked:
    """One token to be judged, with the field that it came in."""

    exchange: Exchange
    field: Pair
    text: bytes
    digest: bytes


class Jwt:
    """Judge bearer tokens that are JWTs, and leave other credentials to the plugins behind.

    What the client is told does not depend on why a token is refused; the log's detail does.
    """

    Config = JwtConfig
    RouteOptions = JwtOptions

    def __init__(self, config: JwtConfig, wall: Callable[[], float] = lambda: datetime.now(UTC).timestamp()) -> None:
        self._config = config
        self._wall = wall
        self._fetches = Counter("headgate_jwt_key_fetches", "Fetches of issuers' keys.", ("issuer", "result"))
        self._issuers = {
            each.issuer: Issuer(name, each, self._keys(name, each)) for name, each in config.issuers.items()
        }
        self._good: CacheCore[bytes, Good] | None = None
        if config.remember:
            self._good = CacheCore(config.max_remembered, "lru")
        self._name = "jwt"

    def _keys(self, name: str, issuer: IssuerConfig) -> Keys:
        """Raises: ValueError for a file that holds no keys of use."""
        if issuer.secret is not None:
            return StaticKeys(secret_key(issuer.secret.reveal().encode(), issuer.allowed), is_secret=True)
        if issuer.keys_file is not None:
            try:
                return StaticKeys(read_key_set(issuer.keys_file.read_bytes(), issuer.allowed), is_secret=False)
            except (OSError, ValueError) as error:
                raise ValueError(f"issuers.{name}.keys_file: {issuer.keys_file}: {error}") from error
        pace = Pace(self._config.refresh, self._config.cooldown, self._config.stale_if_error)
        told = partial(self._count_fetch, name)
        return FetchedKeys(name, fetcher(issuer, self._config.timeout), pace, told)

    def _count_fetch(self, name: str, result: str) -> None:
        self._fetches.add(name, result)

    def close(self) -> None:
        """Fetch no more."""
        for issuer in self._issuers.values():
            issuer.keys.close()

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Count the fetches."""
        self._fetches = registry.register(self._fetches)

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name; where a gateway is about to serve, begin to fetch. A fetch ends by itself, whatever comes."""
        self._name = setup.name
        try:
            now = asyncio.get_running_loop().time()
        except RuntimeError:
            return  # the configuration is only checked
        for issuer in self._issuers.values():
            issuer.keys.begin(now)

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Identity | Reject | Awaitable[Identity | Reject] | None:
        """Say whose token the request carries, and take it out of it. Only an unknown key has to be waited for."""
        fields = [pair for pair in exchange.request.fields.raw if pair[0].lower() == _AUTHORIZATION]
        tokens = [token for pair in fields if (token := _bearer(pair[1])) is not None]
        if not tokens:
            return None
        if len(fields) > 1:
            return _refused("more than one Authorization field")
        text = tokens[0]
        if len(text) > self._config.max_token_bytes:
            return _refused(f"expected at most {self._config.max_token_bytes} bytes of a token, got {len(text)}")
        asked = Asked(exchange, fields[0], text, sha256(text).digest())
        good = self._good.get(asked.digest, exchange.now()) if self._good is not None else None
        if good is not None and good.version == good.keys.version:
            return self._admitted(asked, good.identity)
        try:
            return self._examine(asked)
        except BadTokenError as error:
            return _refused(str(error))

    def _examine(self, asked: Asked) -> Verdict | Awaitable[Verdict]:
        """Judge the claims first: a token that would not get in anyway is no reason for a fetch."""
        token = parse(asked.text)
        issuer = self._issuer_of(token)
        judge(token, issuer.config, self._wall())
        now = asked.exchange.now()
        key = issuer.keys.find(token.kid, token.algorithm, now)
        if key is not None:
            return self._proven(asked, token, issuer, key)
        fetching = issuer.keys.fetching(token.kid, now)
        return (
            self._without_key(issuer, token, now) if fetching is None else self._later(asked, token, issuer, fetching)
        )

    def _issuer_of(self, token: Token) -> Issuer:
        name = token.claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise BadTokenError("`iss` is nobody known here")
        if token.algorithm not in issuer.config.allowed:
            raise BadTokenError(f"{issuer.name}: `alg` is not allowed")
        return issuer

    async def _later(self, asked: Asked, token: Token, issuer: Issuer, fetching: asyncio.Task[None]) -> Verdict:
        """Wait for the keys, with everybody else who does; who leaves does not end the fetch."""
        await asyncio.wait({fetching})
        now = asked.exchange.now()
        key = issuer.keys.find(token.kid, token.algorithm, now)
        try:
            if key is None:
                issuer.keys.missed(token.kid, now)
                return self._without_key(issuer, token, now)
            return self._proven(asked, token, issuer, key)
        except BadTokenError as error:
            return _refused(str(error))

    def _without_key(self, issuer: Issuer, token: Token, now: float) -> Reject:
        if now >= issuer.keys.usable_until:
            retry_s = max(1, math.ceil(issuer.keys.next_at - now))
            detail = f"{issuer.name}: its keys could not be fetched"
            return Reject("stage_unavailable", detail=detail, fields=(("Retry-After", str(retry_s)),))
        return _refused(f"{issuer.name}: no key of this `kid` and `alg`")

    def _proven(self, asked: Asked, token: Token, issuer: Issuer, key: Key) -> Verdict:
        key.check(token)
        wall, now = self._wall(), asked.exchange.now()
        ends = judge(token, issuer.config, wall)  # again, as it may have been waited for
        identity = identity_of(token.claims, issuer.name, issuer.config, self._config.grants)
        if self._good is not None:
            until = min(now + min(ends - wall, self._config.remember), issuer.keys.usable_until)
            self._good.put(asked.digest, Good(identity, issuer.keys, issuer.keys.version), 1, until, now)
        return self._admitted(asked, identity)

    def _admitted(self, asked: Asked, identity: Identity) -> Verdict:
        exchange = asked.exchange
        options: JwtOptions | None = exchange.route.options.get(self._name)
        if options is not None and not identity.scopes.issuperset(options.scopes):
            wanted = " ".join(options.scopes)
            challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{wanted}"'  # RFC 6750 §3.1
            detail = f"{identity.key_id} lacks a scope of: {wanted}"
            return Reject("forbidden", detail=detail, fields=(("WWW-Authenticate", challenge),))
        if not self._config.forward:
            fields = exchange.request.fields
            fields.raw = [pair for pair in fields.raw if pair is not asked.field]
        return identity


def _bearer(value: bytes) -> bytes | None:
    """Return the token of an Authorization field, if it is one that this plugin judges."""
    scheme, _, rest = value.partition(b" ")
    token = rest.strip(b" \t")
    return token if scheme.lower() == b"bearer" and is_jwt(token) else None


def _refused(detail: str) -> Reject:
    """Return what every bad token gets. Source: RFC 6750 §3.1."""
    challenge = f'{_CHALLENGE}, error="invalid_token"'
    return Reject("unauthenticated", detail=detail, fields=(("WWW-Authenticate", challenge),))
