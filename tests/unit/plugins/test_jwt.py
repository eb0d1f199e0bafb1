"""The plugin `jwt`: which tokens get in, which do not, and what is told to whom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.plugins.jwt import Jwt, keys
from headgate.proxy.hooks import load_type
from headgate.proxy.verdicts import Identity, Reject

from .exchanges import make_exchange
from .jwt_tokens import ISSUER, NOON, SECRET, asking, encoded, jwks, make_plugin, secret, signed, signer, usual

RS, ES, ED, HS = (signer(name) for name in ("RS256", "ES256", "EdDSA", "HS256"))
PUBLIC = (RS, ES, ED)


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_bytes(json.dumps({"keys": [{**one.jwk, "kid": one.algorithm} for one in PUBLIC]}).encode())
    return path


def with_file(path: Path, **more: Any) -> Jwt:
    return make_plugin({"keys_file": path, **more.pop("issuer", {})}, **more)


def detail(plugin: Jwt, token: str) -> str:
    """Return why a token is refused, after seeing that the client is told what all are."""
    exchange = asking(token)
    before = list(exchange.request.fields.raw)
    verdict = plugin.headgate_auth(exchange)
    assert isinstance(verdict, Reject), verdict
    assert (verdict.kind, verdict.message) == ("unauthenticated", "")
    assert verdict.fields == (("WWW-Authenticate", 'Bearer realm="headgate", error="invalid_token"'),)
    assert exchange.request.fields.raw == before
    return verdict.detail


def test_it_is_a_plugin_of_the_contract() -> None:
    kind = load_type("jwt", EntryPoint("jwt", "headgate.plugins.jwt:Jwt", "headgate.plugins"))
    assert kind.stages == {"auth"}


@pytest.mark.parametrize(
    "name", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"]
)
def test_a_good_token_of_each_algorithm_gets_in_and_goes_no_further(name: str, tmp_path: Path) -> None:
    one = signer(name)
    (tmp_path / "keys.json").write_bytes(jwks(one))
    source = {"secret": secret()} if name == "HS256" else {"keys_file": tmp_path / "keys.json"}
    plugin = make_plugin({**source, "algorithms": [name]})
    for _ in range(2):  # the second time it is remembered
        exchange = make_exchange(("Host", "a"), ("AUTHORIZATION", f"bearer  {one.token()} "), ("Accept", "*/*"))
        assert plugin.headgate_auth(exchange) == Identity("corp:alice", "acme")
        assert exchange.request.fields.raw == [(b"Host", b"a"), (b"Accept", b"*/*")]


def test_the_token_may_go_on_to_the_service() -> None:
    exchange = asking(HS.token())
    assert isinstance(make_plugin({"secret": secret()}, forward=True).headgate_auth(exchange), Identity)
    assert exchange.request.fields["authorization"] == f"Bearer {HS.token()}"


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("Authorization", "Basic dXNlcjpwYXNz"),),
        (("Authorization", "Bearer hg_live_abc"),),
        (("Authorization", "Bearer sk-a.b.c"),),
        (("Authorization", "Bearer"),),
        (("X-Api-Key", HS.token()),),
    ],
)
def test_other_credentials_are_left_to_the_next_plugin(fields: tuple[tuple[str, str], ...]) -> None:
    assert make_plugin({"secret": secret()}).headgate_auth(make_exchange(*fields)) is None


def forged_with_the_public_key() -> str:
    """HS256, its secret being the public key: whoever lets the token choose the algorithm takes it."""
    text = f"{encoded(json.dumps({'alg': 'HS256', 'kid': 'RS256'}).encode())}.{encoded(json.dumps(usual()).encode())}"
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{text}.{encoded(hmac.sign(text.encode(), RS.public_pem))}"


def unsigned(name: str) -> str:
    return f"{encoded(json.dumps({'alg': name}).encode())}.{encoded(json.dumps(usual()).encode())}."


def es(header: Mapping[str, Any], claims: str | Mapping[str, Any] | None = None) -> str:
    return signed({"alg": "ES256", "kid": "ES256", **header}, usual() if claims is None else claims, ES)


STRANGER = signer("ES256", "stranger")
ATTACKS = {
    "none": (unsigned("none"), "not base64url"),
    "None": (unsigned("None") + "AA", "`alg` is not allowed"),
    "none, signed": (signed({"alg": "none"}, usual(), ES), "`alg` is not allowed"),
    "the public key as a secret": (forged_with_the_public_key(), "`alg` is not allowed"),
    "a key of another type": (es({"kid": "RS256"}), "not for this `alg`"),
    "a key of another algorithm": (signed({"alg": "RS512", "kid": "RS256"}, usual(), RS), "`alg` is not allowed"),
    "a key of one's own": (signed({"alg": "ES256", "kid": "ES256"}, usual(), STRANGER), "InvalidSignatureError"),
    "a key in the header": (
        signed({"alg": "ES256", "kid": "ES256", "jwk": dict(STRANGER.jwk)}, usual(), STRANGER),
        "InvalidSignatureError",
    ),
    "a path for a kid": (es({"kid": "../../../../dev/null"}), "no key of this `kid`"),
    "a query for a kid": (es({"kid": "' UNION SELECT 'x"}), "no key of this `kid`"),
    "a long kid": (es({"kid": "k" * 257}), "`kid` is not text"),
    "an empty kid": (es({"kid": ""}), "`kid` is not text"),
    "a list for a kid": (es({"kid": ["ES256"]}), "`kid` is not text"),
    "crit": (es({"crit": ["exp"], "exp": 1}), "extension"),
    "b64": (es({"b64": False, "crit": ["b64"]}), "extension"),
    "nested": (es({"cty": "JWT"}), "a token within a token"),
    "encrypted": ("eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA", "expected three parts, got 5"),
    "two parts": (es({}).rpartition(".")[0], "expected three parts, got 2"),
    "four parts": (es({}) + ".AAAA", "expected three parts, got 4"),
    "padding": (es({}) + "==", "not base64url"),
    "plain base64": (es({})[:-2] + "+/", "not base64url"),
    "another text of the signature": (es({})[:-1] + ("B" if es({})[-1] != "B" else "C"), "signature"),
    "a space": (es({}).replace(".", ". ", 1), "not base64url"),
    "an alg twice": (
        signed('{"alg":"ES256","kid":"ES256","alg":"ES256"}', usual(), ES),
        "the header is no JSON",
    ),
    "a claim twice": (es({}, json.dumps(usual())[:-1] + ', "sub": "root"}'), "the claims is no JSON"),
    "a claim twice, inside": (es({}, json.dumps(usual())[:-1] + ', "a": {"b": 1, "b": 2}}'), "no JSON"),
    "deep": (es({}, '{"a":' * 3000 + "1" + "}" * 3000), "expected at most"),
    "no object": (es({}, "[1]"), "no JSON object"),
    "no number": (es({}, json.dumps(usual())[:-1] + ', "a": NaN}'), "no JSON"),
    "no alg": (signed({"kid": "ES256"}, usual(), ES), "names no `alg`"),
    "an alg of another type": (signed({"alg": ["ES256"]}, usual(), ES), "names no `alg`"),
    "expired": (es({}, usual({"exp": NOON - 30})), "expired"),
    "no exp": (es({}, usual({"exp": None})), "no `exp`"),
    "exp as text": (es({}, usual({"exp": "never"})), "`exp` is no instant"),
    "exp as truth": (es({}, usual({"exp": True})), "`exp` is no instant"),
    "exp beyond all": (es({}, json.dumps(usual({"exp": None}))[:-1] + ', "exp": 1e400}'), "`exp` is no instant"),
    "early": (es({}, usual({"nbf": NOON + 31})), "`nbf` lies ahead"),
    "made later": (es({}, usual({"iat": NOON + 31})), "`iat` lies ahead"),
    "for others": (es({}, usual({"aud": "other"})), "`aud`"),
    "for several others": (es({}, usual({"aud": ["other", ["gateway"], 1]})), "`aud`"),
    "for nobody": (es({}, usual({"aud": None})), "`aud`"),
    "of another issuer": (es({}, usual({"iss": "https://evil.example"})), "`iss` is nobody known here"),
    "of nearly the issuer": (es({}, usual({"iss": f"{ISSUER}/"})), "`iss` is nobody known here"),
    "of a list of issuers": (es({}, usual({"iss": [ISSUER]})), "`iss` is nobody known here"),
    "of nobody": (es({}, usual({"iss": None})), "`iss` is nobody known here"),
    "for another use": (es({"typ": "logout+jwt"}), "`typ` is one of another use"),
    "typ as a number": (es({"typ": 1}), "`typ` is no text"),
    "nobody": (es({}, usual({"sub": None})), "`sub` is not text"),
    "a caller with line breaks": (es({}, usual({"sub": "a\nb"})), "`sub` is not text"),
    "a caller that is an object": (es({}, usual({"sub": {"a": 1}})), "`sub` is not text"),
    "oversize": (es({}, usual({"pad": "x" * 8192})), "expected at most 8192 bytes"),
    "many scopes": (es({}, usual({"scope": " ".join(f"s{n}" for n in range(300))})), "more than 256 scopes"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_does_not_get_in(name: str, keys_file: Path) -> None:
    token, reason = ATTACKS[name]
    plugin = with_file(keys_file)
    for _ in range(2):
        assert reason in detail(plugin, token)


def test_what_is_told_of_a_token_holds_nothing_of_it(keys_file: Path) -> None:
    plugin = with_file(keys_file)
    for token, _ in ATTACKS.values():
        told = detail(plugin, token)
        assert not any(part in told for part in token.split(".") if len(part) > 8)
        assert "alice" not in told and "\n" not in told and len(told) < 120


def test_the_places_where_a_header_says_that_keys_are_change_nothing(keys_file: Path) -> None:
    told = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/cert", "x5c": ["AAAA"], "x5t": "AAAA"}
    assert isinstance(with_file(keys_file).headgate_auth(asking(es(told))), Identity)


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_types_are_read_without_regard_to_case(kind: str, keys_file: Path) -> None:
    assert isinstance(with_file(keys_file).headgate_auth(asking(es({"typ": kind}))), Identity)


@pytest.mark.parametrize(
    ("claims", "is_good"),
    [
        ({"exp": NOON - 29.5}, True),
        ({"exp": NOON - 30}, False),
        ({"nbf": NOON + 30}, True),
        ({"nbf": NOON + 30.5}, False),
        ({"iat": NOON + 30}, True),
        ({"aud": ["other", "gateway"]}, True),
        ({"exp": int(NOON) + 10**9}, True),
    ],
)
def test_clocks_may_be_apart_by_the_leeway_and_no_more(claims: dict[str, Any], is_good: bool, keys_file: Path) -> None:
    verdict = with_file(keys_file).headgate_auth(asking(es({}, usual(claims))))
    assert isinstance(verdict, Identity if is_good else Reject)


def test_claims_may_be_required(keys_file: Path) -> None:
    plugin = with_file(keys_file, issuer={"required": ["email", "jti"]})
    assert "no `jti`" in detail(plugin, es({}, usual({"email": "a@b"})))
    assert isinstance(plugin.headgate_auth(asking(es({}, usual({"email": "a@b", "jti": "1"})))), Identity)


def test_two_authorization_fields_are_refused() -> None:
    exchange = asking(HS.token(), ("Authorization", "Basic dXNlcjpwYXNz"))
    verdict = make_plugin({"secret": secret()}).headgate_auth(exchange)
    assert isinstance(verdict, Reject) and verdict.detail == "more than one Authorization field"


def test_a_token_without_a_kid_gets_the_only_key_for_its_algorithm(tmp_path: Path) -> None:
    bare, other = signer("ES256", None), signer("ES256", "other")
    for number, listed in ((1, (bare, RS)), (2, (bare, other))):
        (tmp_path / "keys.json").write_bytes(jwks(*listed))
        plugin = with_file(tmp_path / "keys.json")
        exchange = asking(signed({"alg": "ES256"}, usual(), bare))
        assert isinstance(plugin.headgate_auth(exchange), Identity if number == 1 else Reject)


def test_who_it_is_and_what_it_may_is_read_from_its_claims(keys_file: Path) -> None:
    issuer = {"tenant": None, "tenant_claim": ["org", "id"], "key_claim": "https://x.example/name"}
    grants = [
        {"scope": "chat", "models": ["lite"], "routes": ["chat"]},
        {"scope": "ops", "models": ["heavy", "lite"], "routes": ["ops"], "max_priority": "system"},
        {"scope": "all", "max_priority": "bulk"},
    ]
    plugin = with_file(keys_file, issuer=issuer, grants=grants)

    def ask(**claims: Any) -> Any:
        named = {"org": {"id": "acme"}, "https://x.example/name": "bob", **claims}
        return plugin.headgate_auth(asking(es({}, usual(named))))

    assert ask(scope="chat mail") == Identity(
        "corp:bob", "acme", frozenset({"chat", "mail"}), models=("lite",), routes=("chat",)
    )
    assert ask(scp=["ops"], scope="chat") == Identity(
        "corp:bob", "acme", frozenset({"chat", "ops"}), ("lite", "heavy"), ("chat", "ops"), "system"
    )
    assert ask(scope="all chat") == Identity("corp:bob", "acme", frozenset({"all", "chat"}))
    nothing = ask(scope="mail")
    assert (nothing.models, nothing.routes) == ((), ())
    assert not nothing.may_use_route("chat") and not nothing.may_use_model("lite")
    assert isinstance(ask(org={"id": 7}), Reject) and isinstance(ask(org="acme"), Reject)


def test_a_route_asks_for_scopes() -> None:
    plugin = make_plugin({"secret": secret()})
    token = HS.token({"scope": "chat files"})

    def ask(*scopes: str) -> Any:
        return plugin.headgate_auth(asking(token, options={"jwt": Jwt.RouteOptions(scopes=scopes)}))

    assert isinstance(ask("chat", "files"), Identity)
    verdict = ask("chat", "admin")
    assert verdict.kind == "forbidden"
    challenge = 'Bearer realm="headgate", error="insufficient_scope", scope="chat admin"'
    assert verdict.fields == (("WWW-Authenticate", challenge),)


def test_a_token_is_remembered_until_it_ends_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    check = keys.Key.check

    def counted(self: keys.Key, token: Any) -> None:
        checked.append(token.algorithm)
        check(self, token)

    monkeypatch.setattr(keys.Key, "check", counted)
    wall, now = NOON, 5000.0
    plugin = make_plugin({"secret": secret(), "leeway": 0}, wall=lambda: wall, remember="60s", max_remembered=2)
    long, short, other = (HS.token({"exp": NOON + s, "jti": str(s)}) for s in (600, 20, 601))

    def ask(token: str) -> bool:
        return isinstance(plugin.headgate_auth(asking(token, now=lambda: now)), Identity)

    assert all(ask(token) for token in (long, short, long, short)) and len(checked) == 2
    wall, now = NOON + 19.9, now + 19.9
    assert ask(short) and len(checked) == 2
    wall, now = NOON + 20, now + 0.1
    assert not ask(short)
    wall, now = NOON + 61, now + 41
    assert ask(long) and len(checked) == 3  # it has to be proven anew from time to time
    assert ask(other) and ask(short) is False and ask(HS.token({"jti": "third"})) and len(checked) == 5
    assert ask(long) and len(checked) == 6  # the bound: it had to make room
    forgetful = make_plugin({"secret": secret()}, remember=0)
    for _ in range(2):
        assert isinstance(forgetful.headgate_auth(asking(HS.token())), Identity)
    assert len(checked) == 8


@given(
    st.text(alphabet='eywJ0{}."-_=+/ abc', max_size=60) | st.binary(max_size=40).map(lambda data: "ey" + encoded(data))
)
@example("eyJ.eyJ.eyJ")
@example("ey..")
def test_no_text_gets_in_or_breaks_it(text: str) -> None:
    verdict = make_plugin({"secret": secret()}).headgate_auth(asking(text))
    assert verdict is None or isinstance(verdict, Reject)


@given(st.data())
def test_a_token_that_was_changed_anywhere_does_not_get_in(data: st.DataObject) -> None:
    token = HS.token()
    at = data.draw(st.integers(0, len(token) - 1))
    char = data.draw(
        st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=").filter(
            lambda one: one != token[at]
        )
    )
    verdict = make_plugin({"secret": secret()}).headgate_auth(asking(token[:at] + char + token[at + 1 :]))
    assert not isinstance(verdict, Identity)


def test_a_secret_stays_one() -> None:
    assert SECRET not in repr(make_plugin({"secret": secret()})._config)
