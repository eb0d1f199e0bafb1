"""Keys over real connections: issuers that answer, lie, stall, flood, and send elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from headgate.plugins.jwt.config import IssuerConfig
from headgate.plugins.jwt.fetch import MAX_DOCUMENT_BYTES, fetcher
from headgate.plugins.jwt.keys import BadKeysError, KeySet

from ...upstream import Call, upstream
from .jwt_tokens import jwks, signer

KEYS = jwks(signer("ES256"))
Script = Callable[[Call, str], Awaitable[None]]


def issuer(url: str, **more: object) -> IssuerConfig:
    return IssuerConfig.model_validate({"issuer": url, "audience": ["a"], "tenant": "t", **more})


async def keys_from(script: Script, timeout_s: float = 5.0, is_discovered: bool = False) -> tuple[KeySet, list[str]]:
    async def answer(call: Call) -> None:
        await script(call, served.url)

    async with upstream(answer) as served:
        how = {"discovery": True} if is_discovered else {"jwks_url": f"{served.url}/keys"}
        found = await fetcher(issuer(served.url, **how), timeout_s)()
        return found, [call.line for call in served.calls]


def test_a_key_set_is_fetched() -> None:
    async def script(call: Call, url: str) -> None:
        assert call.fields("accept-encoding") == ["identity"]
        await call.answer(KEYS)

    found, lines = asyncio.run(keys_from(script))
    assert [key.kid for key in found.keys] == ["k1"]
    assert lines == ["GET /keys HTTP/1.1"]


def test_it_is_found_by_discovery() -> None:
    async def script(call: Call, url: str) -> None:
        is_first = "/.well-known/openid-configuration " in call.line
        await call.answer(json.dumps({"issuer": url, "jwks_uri": f"{url}/k"}).encode() if is_first else KEYS)

    found, lines = asyncio.run(keys_from(script, is_discovered=True))
    assert len(found) == 1
    assert lines == ["GET /.well-known/openid-configuration HTTP/1.1", "GET /k HTTP/1.1"]


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example", "jwks_uri": "URL/k"},
        {"issuer": "URL/", "jwks_uri": "URL/k"},
        {"jwks_uri": "URL/k"},
        {"issuer": "URL"},
        {"issuer": "URL", "jwks_uri": "http://keys.example/k"},
        {"issuer": "URL", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "URL", "jwks_uri": ["URL/k"]},
        [],
    ],
)
def test_a_discovery_document_that_is_not_believed(document: object) -> None:
    async def script(call: Call, url: str) -> None:
        await call.answer(json.dumps(document).replace("URL", url).encode())

    with pytest.raises(BadKeysError, match="discovery document"):
        asyncio.run(keys_from(script, is_discovered=True))


async def redirects(call: Call, url: str) -> None:
    await call.answer(b"", "302 Found", f"Location: {url}/elsewhere")


async def fails(call: Call, url: str) -> None:
    await call.answer(KEYS, "500 Internal Server Error")


async def floods(call: Call, url: str) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\n\r\n")
    piece = b" " * 65536
    while True:  # until the gateway has enough
        await call.send(piece)


async def declares_much(call: Call, url: str) -> None:
    await call.answer(b" " * (MAX_DOCUMENT_BYTES + 1))


async def garbage(call: Call, url: str) -> None:
    await call.answer(b"<html>")


async def compressed(call: Call, url: str) -> None:
    await call.answer(b"\x1f\x8b\x08\x00 whatever it unfolds to", "200 OK", "Content-Encoding: gzip")


async def resets(call: Call, url: str) -> None:
    call.reset()


async def cuts(call: Call, url: str) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    call.reset()


async def not_http(call: Call, url: str) -> None:
    await call.send(b"SSH-2.0-x\r\n\r\n")
    call.reset()


async def endless_head(call: Call, url: str) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n")


@pytest.mark.parametrize("script", [redirects, fails, floods, declares_much, garbage, compressed])
def test_what_comes_and_is_no_key_set(script: Script) -> None:
    with pytest.raises(BadKeysError):
        asyncio.run(keys_from(script))


@pytest.mark.parametrize("script", [resets, cuts, not_http, endless_head])
def test_connections_that_break(script: Script) -> None:
    with pytest.raises((OSError, aiohttp.ClientError)):
        asyncio.run(keys_from(script))


@pytest.mark.parametrize("is_begun", [True, False])
def test_a_fetch_has_its_time_and_no_more(is_begun: bool) -> None:
    async def stalls(call: Call, url: str) -> None:
        if is_begun:
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        await call.gone()

    async def main() -> None:
        async with asyncio.timeout(30):
            with pytest.raises(TimeoutError):
                await keys_from(stalls, timeout_s=0.2)

    asyncio.run(main())


def test_discovery_and_keys_have_the_time_of_one_fetch_together() -> None:
    async def slow(call: Call, url: str) -> None:
        await asyncio.sleep(0.3)
        is_first = "/.well-known/" in call.line
        await call.answer(json.dumps({"issuer": url, "jwks_uri": f"{url}/k"}).encode() if is_first else KEYS)

    with pytest.raises(TimeoutError):
        asyncio.run(keys_from(slow, timeout_s=0.5, is_discovered=True))


def test_nobody_there() -> None:
    async def main() -> None:
        with pytest.raises((OSError, aiohttp.ClientError)):
            await fetcher(issuer("x", jwks_url="http://127.0.0.1:1/keys"), 5.0)()

    asyncio.run(main())
