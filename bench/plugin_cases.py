"""Routes whose plugins are priced: what each is set to, and what is asked of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from headgate.proxy.prices.asked import Asked, Given

from .governed import EXAMPLES, KEYS_NAME, NUM_KEYS, NUM_MODELS, PEPPER_VARIABLE, key, model
from .works import ANSWER, SMALL_BODY_BYTES, chat_body

PATH = "/v1/chat/completions"
JWT_VARIABLE = "HEADGATE_BENCH_JWT_SECRET"
JWT_SECRET = "a-secret-that-only-a-benchmark-uses"
NUM_STORED = 100
_NOWHERE = "http://127.0.0.1:1"
_PLENTY = 10**12
_JSON = ("Content-Type", "application/json")
_TEN_KIB = 10 << 10
_KEYS = {"api_key": {"pepper": f"env:{PEPPER_VARIABLE}", "keys_file": str(EXAMPLES / KEYS_NAME)}}
_DAY = {"by": "key", "per": "day", "max_requests": _PLENTY, "max_tokens": _PLENTY}
_MONTH = {"by": "tenant", "per": "month", "max_tokens": _PLENTY}
_TOTAL = {"by": "tenant", "per": "total", "max_cost": "100000000"}

Requests = Callable[[int], Asked]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that a plugin is asked to do. `stages` are those of the route, `around` the other plugins in them."""

    plugin: str
    title: str
    requests: Requests
    settings: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, list[str]] = field(default_factory=dict)
    route: Mapping[str, Any] = field(default_factory=dict)
    around: Mapping[str, Any] = field(default_factory=dict)
    answer: tuple[tuple[str, str], ...] = (_JSON, ("Cache-Control", "no-store"))
    status: int = 200

    def config(self) -> dict[str, Any]:
        """Return a configuration with one route, `all`."""
        return {
            "listeners": [{"address": "127.0.0.1:0"}],
            "clusters": {name: {"endpoints": [_NOWHERE]} for name in ("one", "two", "three")},
            "models": {model(number): {"targets": ["one", "two"]} for number in range(NUM_MODELS)},
            "plugins": {**self.around, self.plugin: dict(self.settings)},
            "routes": [
                {
                    "name": "all",
                    "match": {"path": "/{*rest}"},
                    "targets": ["one", "two", "three"],
                    "stages": dict(self.stages),
                    **self.route,
                }
            ],
            "access_log": "off",
        }

    def given(self) -> Given:
        """Return what the targets answer."""
        return Given(fields=self.answer, body=ANSWER)


def cases(folder: Path) -> list[Case]:
    """Return every case; what needs a file has it in `folder`."""
    return [*_callers(folder), *_limits(folder), *_routing(), *_caching(), *_changing(), *_guarding()]


def _callers(folder: Path) -> list[Case]:
    api = {"auth": ["api_key"], "ratelimit": ["api_key"]}
    private = _private_key()
    keys = folder / "jwks.json"
    jwk = {**RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": "k", "use": "sig", "alg": "RS256"}
    keys.write_text(json.dumps({"keys": [jwk]}))
    secret = {"issuer": "bench", "audience": ["gate"], "tenant": "t", "secret": f"env:{JWT_VARIABLE}"}
    public = {"issuer": "bench", "audience": ["gate"], "tenant": "t", "keys_file": str(keys)}
    by_secret, by_key = _bearing(JWT_SECRET, "HS256"), _bearing(private, "RS256")
    auth = {"auth": ["jwt"]}
    return [
        Case("api_key", "a key of 1,000", _with_keys, _KEYS["api_key"], api),
        Case("jwt", "a JWT that is remembered", by_secret, {"issuers": {"bench": secret}}, auth),
        Case("jwt", "one proven anew, HS256", by_secret, {"issuers": {"bench": secret}, "remember": "0s"}, auth),
        Case("jwt", "one proven anew, RS256", by_key, {"issuers": {"bench": public}, "remember": "0s"}, auth),
    ]


def _limits(folder: Path) -> list[Case]:
    def limited(plugin: str) -> dict[str, list[str]]:
        return {"auth": ["api_key"], "ratelimit": [plugin]}

    def quota(name: str, *limits: Mapping[str, Any]) -> dict[str, Any]:
        prices = {"*": {"input": "2.5", "output": "10"}}
        return {"file": str(folder / name), "limits": list(limits), "prices": prices}

    chat = {"kind": "inference"}
    rate = {"by": ["key"], "rate": "1000000/s", "burst": 1_000_000}
    return [
        Case("rate_limit", "a limit by key", _with_keys, rate, limited("rate_limit"), around=_KEYS),
        Case(
            "quota", "one limit on requests and tokens", _with_keys, quota("one", _DAY), limited("quota"), chat, _KEYS
        ),
        Case("quota", "three limits", _with_keys, quota("three", _DAY, _MONTH, _TOTAL), limited("quota"), chat, _KEYS),
    ]


def _routing() -> list[Case]:
    canary = {"share": 50, "by": "address", "variants": {"next": {"targets": ["two"]}}}
    mirror = {"to": {"endpoints": [_NOWHERE]}, "max_held": "1GiB"}
    chat = {"kind": "inference"}
    quorum = {"strategy": "quorum", "votes": 2, "agree_on": "content"}
    ask = {"aggregate": ["aggregate"]}
    return [
        Case("model_route", "one of 100 models", _chat, {}, {"route": ["model_route"]}, chat),
        Case(
            "canary",
            "a share by address",
            _chat,
            canary,
            {stage: ["canary"] for stage in ("route", "response_head", "log")},
        ),
        Case("mirror", "a request that is copied, without the copy itself", _chat, mirror, {"log": ["mirror"]}),
        Case("aggregate", "the first of three targets", _chat, {}, ask, chat),
        Case(
            "aggregate",
            "a quorum of three that agree",
            _chat,
            {},
            ask,
            {**chat, "plugins": {"aggregate": quorum}},
        ),
    ]


def _caching() -> list[Case]:
    fresh = (_JSON, ("Cache-Control", "max-age=3600"))
    settings, stages = {"max_bytes": "64MiB"}, {"cache": ["cache"]}

    def stored(number: int) -> Asked:
        return Asked(target=f"/stored/{number % NUM_STORED}")

    def new(number: int) -> Asked:
        return Asked(target=f"/new/{number}")

    return [
        Case("cache", "a hit", stored, settings, stages, answer=fresh),
        Case("cache", "a miss that is stored", new, settings, stages, answer=fresh),
        Case("cache", "a POST", _chat, settings, stages),
    ]


def _changing() -> list[Case]:
    both = {"request": ["transform"], "response_head": ["transform"]}
    options = {
        "path": {"strip_prefix": "/v1"},
        "query": {"remove": ["debug"], "set": {"route": "{route}"}},
        "request": {"set": {"x-caller": "{client}"}},
        "response": {"remove": ["server"]},
    }
    members = {"set": {"user": "{client}", "store": False}, "remove": ["metadata"]}
    body = {"request": ["transform_body"]}
    cors = {"preset": "api", "cors": {"allow_origins": ["https://app.example"]}}

    def from_page(number: int) -> Asked:
        return _chat(number).altered({"Origin": "https://app.example"}, None)

    return [
        Case("headers", "`preset: api`", _chat, {"preset": "api"}, {"response_head": ["headers"]}),
        Case("headers", "the same with `cors`, asked by a page", from_page, cors, {"response_head": ["headers"]}),
        Case("transform", "path, query and fields", _chat, {}, both, {"plugins": {"transform": options}}),
        Case("transform_body", "a body of 90 bytes", _chat, {}, body, {"plugins": {"transform_body": members}}),
        Case("transform_body", "one of 10 KiB", _long_chat, {}, body, {"plugins": {"transform_body": members}}),
    ]


def _guarding() -> list[Case]:
    settings = {
        "max_characters": 100_000,
        "max_tokens": 4096,
        "deny_texts": ["ignore all previous instructions"],
        "deny_patterns": ["-----BEGIN [A-Z ]*PRIVATE KEY-----", r"\bAKIA[0-9A-Z]{16}\b"],
    }
    stages, chat = {"request": ["prompt_guard"]}, {"kind": "inference"}
    return [
        Case("prompt_guard", "a body of 90 bytes", _chat, settings, stages, chat),
        Case("prompt_guard", "one of 10 KiB", _long_chat, settings, stages, chat),
    ]


def _chat(number: int) -> Asked:
    return Asked("POST", PATH, fields=(_JSON,), body=chat_body(number, SMALL_BODY_BYTES))


def _long_chat(number: int) -> Asked:
    return Asked("POST", PATH, fields=(_JSON,), body=chat_body(number, _TEN_KIB))


def _with_keys(number: int) -> Asked:
    return _chat(number).altered({"Authorization": f"Bearer {key(number % NUM_KEYS)}"}, None)


@cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _bearing(secret: Any, algorithm: str) -> Requests:
    claims = {"iss": "bench", "aud": "gate", "sub": "caller", "exp": int(time.time()) + 3600}  # noqa: TID251 - a JWT's
    token = jwt.encode(claims, secret, algorithm=algorithm, headers={"kid": "k"})

    def requests(number: int) -> Asked:
        return _chat(number).altered({"Authorization": f"Bearer {token}"}, None)

    return requests
