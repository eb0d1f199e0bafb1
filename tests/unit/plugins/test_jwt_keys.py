"""Which keys of a document are taken, and when documents are fetched: on the virtual clock."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.jwt import Jwt
from headgate.plugins.jwt.keys import ASYMMETRIC, MAX_KEYS, BadKeysError, KeySet, read_key_set
from headgate.plugins.jwt.source import MAX_UNKNOWN_KIDS, FetchedKeys, Pace
from headgate.plugins.jwt.token import BadTokenError, parse
from headgate.proxy.verdicts import Identity, Reject

from ...virtual_clock import run
from .jwt_tokens import asking, encoded, jwks, make_plugin, signer

ONE, TWO = signer("ES256", "k1"), signer("ES256", "k2")
RSA = signer("RS256", "r")
PACE = Pace(refresh_s=600, cooldown_s=30, stale_s=3600)


def kids(document: object, *algorithms: str) -> list[str | None]:
    return [key.kid for key in read_key_set(json.dumps(document).encode(), algorithms or ASYMMETRIC).keys]


def test_a_key_is_bound_to_the_algorithms_that_it_is_for() -> None:
    found = read_key_set(jwks(ONE, RSA, signer("EdDSA", "e")), ("RS256", "PS256", "ES256", "EdDSA"))
    assert {key.kid: set(key.by_algorithm) for key in found.keys} == {
        "k1": {"ES256"},
        "r": {"RS256", "PS256"},
        "e": {"EdDSA"},
    }
    named = {**RSA.jwk, "alg": "PS256"}
    assert set(read_key_set(json.dumps({"keys": [named]}).encode(), ASYMMETRIC).keys[0].by_algorithm) == {"PS256"}


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "s"},
        {**ONE.jwk, "use": "enc"},
        {**ONE.jwk, "key_ops": ["sign"]},
        {**ONE.jwk, "d": "AAAA"},
        {**ONE.jwk, "crv": "secp256k1"},
        {**ONE.jwk, "x": "AAAA"},
        {**ONE.jwk, "x": 7},
        {**ONE.jwk, "kty": "RSA"},
        {**ONE.jwk, "alg": "HS256"},
        {**ONE.jwk, "kid": 7},
        {"kty": "RSA", "n": encoded(b"\xff" * 128), "e": "AQAB", "kid": "short"},
        {"kty": "RSA", "n": "AQ"},
        {},
        7,
    ],
)
def test_keys_of_no_use_are_left_out(other: object) -> None:
    assert kids({"keys": [other, TWO.jwk]}) == ["k2"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected a JWK Set"),
        ({"keys": {}}, "expected a JWK Set"),
        ({"keys": []}, "expected a key for"),
        ({"keys": [{**ONE.jwk, "use": "enc"}]}, "expected a key for"),
        ({"keys": [ONE.jwk, {**TWO.jwk, "kid": "k1"}]}, "each `kid` once"),
        ({"keys": [ONE.jwk] * (MAX_KEYS + 1)}, f"at most {MAX_KEYS} keys"),
    ],
)
def test_a_document_that_is_not_taken(document: object, message: str) -> None:
    with pytest.raises(BadKeysError, match=message):
        kids(document)


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.text(max_size=4), st.lists, max_leaves=5).map(
        lambda value: json.dumps({"keys": value}).encode()
    )
)
def test_no_document_breaks_it(data: bytes) -> None:
    with pytest.raises(BadKeysError):
        read_key_set(data, ASYMMETRIC)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_depth_breaks_nothing(text: str) -> None:
    with pytest.raises(BadKeysError):
        read_key_set(text.encode(), ASYMMETRIC)
    with pytest.raises(BadTokenError):
        parse(f"{encoded(text.encode())}.e30.AAAA".encode())


@dataclass
class Origin:
    """Serves a document; `fault` in its place where there is one. Each fetch takes a second."""

    keys: bytes = field(default_factory=lambda: jwks(ONE))
    fault: Exception | None = None
    fetched_at: list[float] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    async def fetch(self) -> KeySet:
        self.fetched_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1)
        if self.fault is not None:
            raise self.fault
        return read_key_set(self.keys, ("ES256",))

    def source(self, pace: Pace = PACE) -> FetchedKeys:
        return FetchedKeys("corp", self.fetch, pace, self.results.append)


@dataclass
class Stand:
    origin: Origin
    plugin: Jwt

    async def ask(self, token: str) -> str:
        """Return what becomes of a token: `in`, or the kind of the refusal."""
        verdict = self.plugin.headgate_auth(asking(token, now=asyncio.get_running_loop().time))
        if not isinstance(verdict, Identity | Reject | None):
            verdict = await verdict
        return "in" if isinstance(verdict, Identity) else str(getattr(verdict, "kind", None))


def stand(test: Callable[[Stand], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def main() -> None:
        origin = Origin()
        plugin = make_plugin({"jwks_url": "https://issuer.example/keys"}, remember=0, **settings)
        plugin.close()  # what it would fetch from is no server
        issuer = next(iter(plugin._issuers.values()))
        object.__setattr__(issuer, "keys", origin.source())
        await test(Stand(origin, plugin))

    run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_known_key_is_not_waited_for() -> None:
    async def test(made: Stand) -> None:
        assert await made.ask(ONE.token()) == "in" and now() == 1
        verdict = made.plugin.headgate_auth(asking(ONE.token(), now=now))
        assert isinstance(verdict, Identity)
        assert made.origin.fetched_at == [0]

    stand(test)


def test_all_who_wait_wait_for_one_fetch() -> None:
    async def test(made: Stand) -> None:
        assert set(await asyncio.gather(*(made.ask(ONE.token()) for _ in range(50)))) == {"in"}
        assert (made.origin.fetched_at, now()) == ([0], 1)

    stand(test)


def test_a_new_key_is_fetched_when_the_first_token_of_it_comes() -> None:
    async def test(made: Stand) -> None:
        assert await made.ask(ONE.token()) == "in"
        made.origin.keys = jwks(ONE, TWO)
        assert await made.ask(TWO.token()) == "unauthenticated"  # within the cooldown
        await asyncio.sleep(30)
        assert await made.ask(TWO.token()) == "in"
        assert made.origin.fetched_at == [0, 31]

    stand(test)


def test_a_flood_of_unknown_kids_costs_one_fetch_a_cooldown() -> None:
    async def test(made: Stand) -> None:
        rng = random.Random(7)
        assert await made.ask(ONE.token()) == "in"
        flood = [signer("ES256", "x").token(kid=str(rng.random())) for _ in range(200)]
        for _ in range(300):
            await asyncio.gather(*(made.ask(token) for token in rng.sample(flood, 3)))
            assert await made.ask(ONE.token()) == "in"
            await asyncio.sleep(1)
        assert len(made.origin.fetched_at) <= 2 + now() / PACE.cooldown_s
        gaps = [b - a for a, b in zip(made.origin.fetched_at, made.origin.fetched_at[1:], strict=False)]
        assert min(gaps) >= PACE.cooldown_s

    stand(test)


def test_a_kid_that_was_not_there_is_not_asked_for_again_for_a_while() -> None:
    async def test(made: Stand) -> None:
        assert await made.ask(TWO.token()) == "unauthenticated"
        for _ in range(4):
            assert await made.ask(TWO.token()) == "unauthenticated"
            await asyncio.sleep(29)
        assert made.origin.fetched_at == [0]
        made.origin.keys = jwks(TWO)
        await asyncio.sleep(10)
        assert await made.ask(TWO.token()) == "in"

    stand(test)


def test_so_many_unknown_kids_are_remembered_and_no_more() -> None:
    async def main() -> None:
        source = Origin().source()
        for number in range(3 * MAX_UNKNOWN_KIDS):
            source.missed(str(number), 0.0)
        assert len(source._unknown) == MAX_UNKNOWN_KIDS

    run(main())


def test_keys_of_age_are_fetched_while_they_are_used() -> None:
    async def test(made: Stand) -> None:
        assert await made.ask(ONE.token()) == "in"
        await asyncio.sleep(600)
        before = now()
        assert await made.ask(ONE.token()) == "in" and now() == before
        await asyncio.sleep(2)
        assert made.origin.results == ["ok", "ok"]

    stand(test)


def test_a_key_that_is_withdrawn_ends_with_the_next_fetch_also_for_tokens_that_are_remembered() -> None:
    async def main() -> None:
        origin = Origin(jwks(ONE, TWO))
        plugin = make_plugin({"jwks_url": "https://issuer.example/keys"}, remember="1h")
        plugin.close()
        object.__setattr__(next(iter(plugin._issuers.values())), "keys", origin.source())
        made = Stand(origin, plugin)
        assert await made.ask(ONE.token()) == await made.ask(TWO.token()) == "in"
        origin.keys = jwks(TWO)
        await asyncio.sleep(599)
        assert await made.ask(ONE.token()) == "in"
        await asyncio.sleep(10)
        assert await made.ask(TWO.token({"jti": "other"})) == "in"  # finds that they are of age
        await asyncio.sleep(2)
        assert await made.ask(ONE.token()) == "unauthenticated"
        assert await made.ask(TWO.token()) == "in"

    run(main())


FAULTS = [OSError("down"), TimeoutError(), BadKeysError("garbage")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_keys_that_cannot_be_fetched_anew_are_used_for_a_bounded_time(fault: Exception) -> None:
    async def test(made: Stand) -> None:
        assert await made.ask(ONE.token()) == "in"
        made.origin.fault = fault
        while now() < 4199:
            assert await made.ask(ONE.token()) == "in"
            assert await made.ask(TWO.token()) == "unauthenticated"  # whoever it is, it is not the gateway that is down
            await asyncio.sleep(10)
        await asyncio.sleep(10)
        assert await made.ask(ONE.token()) == "stage_unavailable"
        assert len(made.origin.fetched_at) <= 4200 / 30 + 10
        made.origin.fault = None
        await asyncio.sleep(31)
        assert await made.ask(ONE.token()) == "in"

    stand(test)


def test_without_any_keys_it_is_unavailable_and_says_for_how_long() -> None:
    async def test(made: Stand) -> None:
        made.origin.fault = OSError("down")
        seen: list[int] = []
        for _ in range(40):
            verdict = made.plugin.headgate_auth(asking(ONE.token(), now=now))
            if not isinstance(verdict, Reject):
                assert verdict is not None and not isinstance(verdict, Identity)
                verdict = await verdict
            assert isinstance(verdict, Reject) and verdict.kind == "stage_unavailable"
            seen.append(int(dict(verdict.fields)["Retry-After"]))
            await asyncio.sleep(seen[-1])
        assert seen[:7] == [1, 2, 4, 8, 16, 30, 30]
        made.origin.fault = None
        assert await made.ask(ONE.token()) == "in"

    stand(test)


def test_a_token_that_would_not_get_in_anyway_is_no_reason_for_a_fetch() -> None:
    async def test(made: Stand) -> None:
        for token in (ONE.token({"exp": 1}), ONE.token({"aud": "x"}), RSA.token({"iss": "https://x"})):
            assert await made.ask(token) == "unauthenticated"
        assert made.origin.fetched_at == []

    stand(test)


def test_who_leaves_does_not_end_the_fetch_for_the_others() -> None:
    async def test(made: Stand) -> None:
        first, second = (asyncio.create_task(made.ask(ONE.token())) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        assert await second == "in"
        assert made.origin.fetched_at == [0]

    stand(test)


def test_closed_it_fetches_no_more() -> None:
    async def test(made: Stand) -> None:
        waiting = asyncio.create_task(made.ask(ONE.token()))
        await asyncio.sleep(0.5)
        made.plugin.close()
        assert await waiting == "stage_unavailable"
        await asyncio.sleep(100)
        assert await made.ask(ONE.token()) == "stage_unavailable"
        assert made.origin.fetched_at == [0]

    stand(test)
