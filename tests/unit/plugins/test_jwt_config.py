"""What may stand in the settings of `jwt`, and what is said to what may not."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from headgate.plugins.jwt import Jwt
from headgate.plugins.jwt.config import JwtConfig
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors

from .jwt_tokens import AUDIENCE, ISSUER

PLUGINS = {"jwt": PluginSchema("jwt", Jwt.Config, Jwt.RouteOptions, frozenset({"auth"}))}
ENVIRONMENT = {"SECRET": "s" * 32, "SHORT": "s" * 31}
TEMPLATE = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {c: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{name: r, match: {path: /}, targets: [c], plugins: {jwt: {scopes: [chat]}}}]
plugins:
  jwt: SETTINGS
"""
URL = "jwks_url: https://a.example/keys"


def load(settings: str) -> JwtConfig:
    found = check(TEMPLATE.replace("SETTINGS", settings), PLUGINS, ENVIRONMENT).config.plugins["jwt"].settings
    assert isinstance(found, JwtConfig)
    return found


def one(source: str, more: str = "tenant: t", issuer: str = ISSUER, rest: str = "") -> str:
    return f"{{issuers: {{corp: {{issuer: '{issuer}', audience: [{AUDIENCE}], {source}, {more}}}}}{rest}}}"


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        (URL, ("RS256", "ES256", "EdDSA")),
        ("discovery: true", ("RS256", "ES256", "EdDSA")),
        ("secret: env:SECRET", ("HS256",)),
        ("jwks_url: 'http://127.0.0.1:8/k'", ("RS256", "ES256", "EdDSA")),
        ("jwks_url: 'http://localhost/k'", ("RS256", "ES256", "EdDSA")),
        ("jwks_url: 'http://keys.internal/k', allow_http: true, algorithms: [PS256]", ("PS256",)),
    ],
)
def test_settings_come_out_as_written(source: str, allowed: tuple[str, ...]) -> None:
    config = load(one(source))
    assert config.issuers["corp"].allowed == allowed
    assert isinstance(Jwt(config), Jwt)


PUBLIC = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"
WRONG = [
    ("{}", "plugins.jwt.issuers: missing"),
    ("{issuers: {}}", "plugins.jwt.issuers: got no issuer"),
    (one("leeway: 1s"), "issuers.corp: wanted exactly one of `jwks_url`"),
    (one(f"{URL}, secret: env:SECRET"), "issuers.corp: wanted exactly one of `jwks_url`"),
    (one("discovery: false"), "issuers.corp: wanted exactly one of `jwks_url`"),
    (one(URL, "leeway: 1s"), "issuers.corp: wanted either `tenant` or `tenant_claim`"),
    (one(URL, "tenant: t, tenant_claim: org"), "issuers.corp: wanted either `tenant` or `tenant_claim`"),
    (one(URL, "tenant: t, leeway: 6m"), "issuers.corp.leeway: wanted at most `5m`"),
    (one(URL, "tenant: t, algorithms: [HS256]"), f"corp.algorithms[0]: got HS256, wanted one of {PUBLIC}"),
    (one("secret: env:SECRET", "tenant: t, algorithms: [HS256, RS256]"), "corp.algorithms[1]: got RS256, wanted one"),
    (one(URL, "tenant: t, algorithms: [none]"), 'corp.algorithms[0]: got "none"'),
    (one(URL, "tenant: t, algorithms: []"), "corp.algorithms: got an empty list"),
    (one(URL, "tenant: t, types: [JWT]"), "corp.types[0]: wanted it in lower case"),
    (one(URL, "tenant: t, key_claim: []"), "corp.key_claim: got a list, wanted a claim's name"),
    (one(URL, "tenant: a b"), 'corp.tenant: got "a b", wanted an id'),
    (one("secret: env:SHORT"), "corp.secret: the secret is too short, wanted at least 32 bytes"),
    (one("secret: env:SECRET", "tenant: t, algorithms: [HS512]"), "wanted at least 64 bytes"),
    (one("secret: abc"), "corp.secret: got a literal value"),
    (one("jwks_url: 'http://a.example/k'"), "corp.jwks_url: got http, wanted https"),
    (one("jwks_url: 'ftp://a.example/k'"), "corp.jwks_url: got"),
    (one("jwks_url: 'https://user:pw@a.example/k'"), "without a user"),
    (one("jwks_url: 'https:///k'"), "corp.jwks_url: got"),
    (one("jwks_url: 'https://a:99999/k'"), "corp.jwks_url: got"),
    (one("discovery: true", issuer="http://a.example"), "corp.issuer: got http, wanted https"),
    (one("discovery: true", issuer="accounts"), "corp.issuer: wanted an address with https"),
    (one("keys_file: /nowhere/keys.json"), 'corp.keys_file: the file "/nowhere/keys.json" cannot be read'),
    (one(URL, rest=", remember: 2h"), "plugins.jwt.remember"),
    (one(URL, rest=", max_token_bytes: 1MiB"), "plugins.jwt.max_token_bytes"),
    (one(URL, rest=", cooldown: 10ms"), "plugins.jwt.cooldown"),
    (one(URL, rest=", grants: [{scope: a, max_priority: high}]"), "grants[0].max_priority"),
    (
        f"{{issuers: {{a: {{issuer: x, audience: [g], {URL}, tenant: t}}, "
        f"b: {{issuer: x, audience: [g], {URL}, tenant: t}}}}}}",
        "issuers.b.issuer: this is also the issuer of `a`",
    ),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_wrong_settings_are_told_with_their_place(settings: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(settings)
    problems = [str(problem) for problem in caught.value.problems]
    assert any(message in problem and problem.startswith("<text>:5:") for problem in problems), problems


def test_a_file_without_keys_of_use_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"keys": []}')
    with pytest.raises(ValueError, match=r"issuers\.corp\.keys_file: .*keys\.json: expected a key for ES256, EdDSA"):
        Jwt(load(one(f"keys_file: {tmp_path / 'keys.json'}")))


@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_without_the_library_one_line_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("headgate.plugins.jwt") or name == missing]:
        monkeypatch.delitem(sys.modules, name)
    blocked: Any = None
    monkeypatch.setitem(sys.modules, missing, blocked)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'headgate\[jwt\]'"):
        import_module("headgate.plugins.jwt")
