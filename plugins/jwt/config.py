"""Settings of `jwt`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ...proxy.config.files import ReadableFile
from ...proxy.config.secrets import SecretRef
from ...proxy.config.section import Flag, Name, Section, Whole, frozen_mapping
from ...proxy.config.units import ByteSize, Duration, Timeout
from ...proxy.config.wording import FieldError, Words, shown
from ...proxy.exchange.priority import PRIORITIES
from ..api_key.key_entry import KeyId, Pattern, Scope
from .keys import ASYMMETRIC, MIN_SECRET_BYTES, SYMMETRIC

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]
_PUBLIC = ("RS256", "ES256", "EdDSA")
_SHARED = ("HS256",)
_MAX_LEEWAY_S = 300.0
_MAX_PATH = 8
_URL = re.compile(r"https?://[!-~]+")
_PATH_WORDS = Words("a claim's name, or a list of names that lead to it", "claims", "`sub` or `[org, id]`")
_URL_WORDS = Words("an address with https", "addresses", "`https://issuer.example/jwks.json`")


def _path(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not 1 <= len(names) <= _MAX_PATH:
        raise ValueError(f"got {shown(value)}, wanted {_PATH_WORDS}")
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"got {shown(value)}, wanted {_PATH_WORDS}")
    return tuple(names)


def _url(value: object) -> str:
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted {_URL_WORDS}")
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and parts.port != 0 and parts.username is None and not parts.fragment
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError(f"got {shown(value)}, wanted {_URL_WORDS}, without a user and a fragment")
    return value


def is_safe_url(url: str, *, is_http_allowed: bool) -> bool:
    """Whether keys may be fetched from there: with TLS, from this machine, or where that is said to be right."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and (is_http_allowed or _is_loopback(parts.hostname)))


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


ClaimPath = Annotated[tuple[str, ...], BeforeValidator(_path), _PATH_WORDS]
Url = Annotated[str, BeforeValidator(_url), _URL_WORDS]


class IssuerConfig(Section):
    """Who makes tokens, where its keys are, and what its claims mean."""

    issuer: str = Field(min_length=1, max_length=1024, description="The claim `iss`, exactly as its tokens have it.")
    audience: tuple[str, ...] = Field(min_length=1, description="Names of this gateway; `aud` must hold one of them.")
    jwks_url: Url | None = Field(default=None, description="Where its keys are published, as a JWK Set.")
    discovery: Flag = Field(
        default=False, description="Whether to learn that from `/.well-known/openid-configuration` below `issuer`."
    )
    keys_file: ReadableFile | None = Field(default=None, description="File with its keys, as a JWK Set.")
    secret: SecretRef | None = Field(
        default=None, description="Secret that it shares with the gateway: `env:NAME` or `file:PATH`."
    )
    algorithms: tuple[Algorithm, ...] | None = Field(
        default=None, description="Algorithms that are taken; without it RS256, ES256, EdDSA, or HS256 with a secret."
    )
    allow_http: Flag = Field(default=False, description="Whether keys may be fetched without TLS from another machine.")
    leeway: Duration = Field(default=30.0, description="How far the clocks may be apart, at most 5 minutes.")
    required: tuple[str, ...] = Field(default=(), description="Claims that must be there, beside `iss`, `aud`, `exp`.")
    types: tuple[str, ...] = Field(
        default=("jwt", "at+jwt"), min_length=1, description="Values of `typ` that are taken, where a token has one."
    )
    key_claim: ClaimPath = Field(default=("sub",), description="Claim that names the caller, in logs and limits.")
    tenant: KeyId | None = Field(default=None, description="Tenant of all its callers.")
    tenant_claim: ClaimPath | None = Field(default=None, description="Claim that names the tenant.")
    scope_claims: tuple[ClaimPath, ...] = Field(
        default=(("scope",), ("scp",)), description="Claims that hold scopes: text with spaces, or a list."
    )

    @model_validator(mode="after")
    def _check(self) -> IssuerConfig:
        sources = (self.jwks_url, self.discovery or None, self.keys_file, self.secret)
        if sum(source is not None for source in sources) != 1:
            raise FieldError((), "wanted exactly one of `jwks_url`, `discovery: true`, `keys_file` and `secret`")
        if (self.tenant is None) == (self.tenant_claim is None):
            raise FieldError((), "wanted either `tenant` or `tenant_claim`")
        if self.leeway > _MAX_LEEWAY_S:
            raise FieldError(("leeway",), "wanted at most `5m`: a token is good that much longer")
        for place, name in enumerate(self.types):
            if name != name.lower() or name.startswith("application/"):
                raise FieldError(("types", place), "wanted it in lower case, without `application/`")
        self._check_algorithms()
        self._check_source()
        return self

    def _check_algorithms(self) -> None:
        """Never both kinds: a public key must not be taken for the secret of an HMAC."""
        allowed = SYMMETRIC if self.secret is not None else ASYMMETRIC
        for place, name in enumerate(self.algorithms or ()):
            if name not in allowed:
                why = "the issuer's keys are public" if self.secret is None else "the issuer has a secret"
                raise FieldError(("algorithms", place), f"got {name}, wanted one of {', '.join(allowed)}: {why}")
        if self.algorithms == ():
            raise FieldError(("algorithms",), "got an empty list, wanted at least one item")

    def _check_source(self) -> None:
        digests = [int(name[2:]) for name in self.allowed if name in SYMMETRIC]
        wanted_bytes = MIN_SECRET_BYTES * max(digests, default=0) // 256
        if self.secret is not None and len(self.secret.reveal().encode()) < wanted_bytes:
            raise FieldError(("secret",), f"the secret is too short, wanted at least {wanted_bytes} bytes of it")
        if self.discovery:
            try:
                _url(self.issuer)
            except ValueError:
                raise FieldError(("issuer",), "wanted an address with https, as `discovery` begins there") from None
        name, url = ("issuer", self.issuer) if self.discovery else ("jwks_url", self.jwks_url)
        if url is not None and not is_safe_url(url, is_http_allowed=self.allow_http):
            raise FieldError((name,), "got http, wanted https, or `allow_http: true` where nobody else is on the way")

    @property
    def allowed(self) -> tuple[str, ...]:
        """The algorithms that are taken."""
        return self.algorithms or (_PUBLIC if self.secret is None else _SHARED)


class Grant(Section):
    """What a scope opens."""

    scope: Scope = Field(description="The scope; who has several gets what any of them opens.")
    models: tuple[Pattern, ...] | None = Field(default=None, description="Models it may use; without it all.")
    routes: tuple[Pattern, ...] | None = Field(default=None, description="Routes it may use; without it all.")
    max_priority: Literal[PRIORITIES] = Field(  # type: ignore[valid-type]
        default="default", description="Highest priority a client may ask for."
    )


class JwtOptions(Section):
    """What a route may set."""

    scopes: tuple[Scope, ...] = Field(default=(), description="Scopes that a token needs here, all of them.")


class JwtConfig(Section):
    """Settings."""

    issuers: Annotated[Mapping[Name, IssuerConfig], AfterValidator(frozen_mapping)] = Field(
        description="Who makes tokens, by a name of yours."
    )
    grants: tuple[Grant, ...] = Field(
        default=(), description="What scopes open; without any, a good token opens all. Without a listed scope: 403."
    )
    forward: Flag = Field(default=False, description="Whether the token goes on to the service behind the gateway.")
    max_token_bytes: ByteSize = Field(default=8192, ge=1, le=65536, description="Longest token that is looked at.")
    remember: Duration = Field(
        default=60.0, le=3600, description="How long a good token is known without a look at its signature; 0: not."
    )
    max_remembered: Annotated[Whole, Field(ge=1, le=1_000_000)] = Field(
        default=10_000, description="Good tokens that are known at once."
    )
    refresh: Timeout = Field(default=600.0, ge=1, description="How old fetched keys get before they are fetched anew.")
    cooldown: Timeout = Field(default=30.0, ge=1, description="Least time between two fetches from one issuer.")
    stale_if_error: Duration = Field(
        default=3600.0, description="How much longer keys are used while they cannot be fetched."
    )
    timeout: Timeout = Field(default=5.0, le=60, description="Time for one fetch, discovery included.")

    @model_validator(mode="after")
    def _check(self) -> JwtConfig:
        if not self.issuers:
            raise FieldError(("issuers",), "got no issuer, wanted at least one")
        seen: dict[str, str] = {}
        for name, issuer in self.issuers.items():
            if seen.setdefault(issuer.issuer, name) != name:
                raise FieldError(("issuers", name, "issuer"), f"this is also the issuer of `{seen[issuer.issuer]}`")
        return self
