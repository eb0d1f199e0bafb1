"""`jwt` in a gateway that serves, with an issuer that changes its keys."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from headgate.plugins.api_key import digest, new_key

from ...http_client import Answer, client, fetch
from ...running import WAYS, gateway
from ...unit.plugins.jwt_tokens import Signer, jwks, signer
from ...upstream import Call, upstream

OLD, NEW = signer("ES256", "old"), signer("ES256", "new")
KEY, PEPPER = new_key("test"), "a pepper of the tests"


async def answer_ok(call: Call) -> None:
    await call.answer()


def token(by: Signer, url: str, **claims: Any) -> str:
    now = int(time.time())  # noqa: TID251 - the gateway looks at the wall clock
    return by.token({"iss": url, "exp": now + 600, "iat": now, **claims})


def bearer(text: str) -> str:
    return f"Authorization: Bearer {text}"


def config(served: str, issuer: str) -> dict[str, Any]:
    key = {"id": "k", "tenant": "t", "digests": [{"digest": digest(KEY, PEPPER)}]}
    corp = {"issuer": issuer, "audience": ["gateway"], "jwks_url": f"{issuer}/keys", "tenant": "acme"}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {"up": {"endpoints": [served]}},
        "plugins": {
            "jwt": {"issuers": {"corp": corp}, "cooldown": "1s", "grants": [{"scope": "chat", "routes": ["all"]}]},
            "api_key": {"pepper": "env:PEPPER", "inline": [key]},
        },
        "stages": {"auth": ["jwt", "api_key"]},
        "routes": [{"name": "all", "match": {"path": "/{*rest}"}, "read_model": True, "targets": ["up"]}],
    }


@pytest.mark.parametrize("environment", WAYS.values(), ids=WAYS)
def test_tokens_and_keys_open_and_an_issuer_may_change_its_keys(environment: dict[str, str]) -> None:
    published = [OLD]
    calls: list[str] = []

    async def issue(call: Call) -> None:
        calls.append(call.line)
        await call.answer(jwks(*published))

    async def main() -> list[Answer]:
        async with (
            upstream(answer_ok) as served,
            upstream(issue) as issuer,
            gateway(config(served.url, issuer.url), False, False, PEPPER=PEPPER, **environment) as gate,
        ):
            await issuer.until(lambda: calls)  # at the start, without a request
            body = b'{"model": "m"}'
            good = token(OLD, issuer.url, scope="chat")
            tries = (
                bearer(good),
                bearer(token(OLD, issuer.url)),
                bearer(KEY),
                "X-Nothing: here",
                bearer(good[:-9]),
            )
            answers = [await fetch(gate.port, "POST", "/v1/x", body, one) for one in tries]
            published[:] = [OLD, NEW]
            new = bearer(token(NEW, issuer.url, scope="chat"))
            async with asyncio.timeout(20):
                while (last := await fetch(gate.port, "POST", "/v1/x", body, new)).status != 200:
                    assert last.status == 401  # within the cooldown
            async with client(gate.port) as connected:  # a key is waited for before the body is taken
                await connected.send("POST", "/v1/x", b'{"model": "m"}', new)
                answers.append(await connected.answer("POST"))
            assert not any(good.encode() in call.head for call in served.calls)
            line = next(line for line in gate.log() if line["status"] == 200)
            assert (line["key_id"], line["tenant"]) == ("corp:alice", "acme")
            return answers

    answers = asyncio.run(main())
    assert [answer.status for answer in answers] == [200, 403, 200, 401, 401, 200]
    assert answers[4].field("www-authenticate") == 'Bearer realm="headgate", error="invalid_token"'
    assert len(calls) <= 1 + 20


def test_without_its_issuer_it_is_unavailable_and_the_other_credentials_are_not() -> None:
    async def main() -> list[Answer]:
        async with upstream(answer_ok) as served:
            issuer = "http://127.0.0.1:1"
            async with gateway(config(served.url, issuer), PEPPER=PEPPER) as gate:
                tries = (bearer(token(OLD, issuer, scope="chat")), bearer(KEY))
                return [await fetch(gate.port, "GET", "/v1/x", None, one) for one in tries]

    refused, good = asyncio.run(main())
    assert (refused.status, good.status) == (503, 200)
    assert 1 <= int(refused.field("retry-after") or 0) <= 30
