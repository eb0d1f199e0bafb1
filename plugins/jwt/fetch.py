"""Fetches the keys of an issuer over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp

from .config import IssuerConfig, is_safe_url
from .keys import BadKeysError, KeySet, read_key_set

MAX_DOCUMENT_BYTES = 256 * 1024
DISCOVERY = "/.well-known/openid-configuration"
_PIECE_BYTES = 16 * 1024
_FIELDS = {"Accept": "application/json", "Accept-Encoding": "identity"}  # nothing that unfolds

Fetch = Callable[[], Awaitable[KeySet]]


def fetcher(issuer: IssuerConfig, timeout_s: float) -> Fetch:
    """Return what fetches the keys of `issuer`.

    It raises: OSError, TimeoutError, aiohttp.ClientError; BadKeysError for what came and is no answer.
    """

    async def fetch() -> KeySet:
        async with asyncio.timeout(timeout_s), aiohttp.ClientSession(trust_env=False, auto_decompress=False) as session:
            url = issuer.jwks_url or await _discover(session, issuer)
            return read_key_set(await _read(session, url), issuer.allowed)

    return fetch


async def _discover(session: aiohttp.ClientSession, issuer: IssuerConfig) -> str:
    """Return where the keys are. Source: OpenID Connect Discovery 1.0 §4."""
    data = await _read(session, issuer.issuer.removesuffix("/") + DISCOVERY)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("issuer") != issuer.issuer:  # §4.3: exactly
        raise BadKeysError("expected a discovery document of this very `issuer`")
    url = document.get("jwks_uri")
    if not isinstance(url, str) or not is_safe_url(url, is_http_allowed=issuer.allow_http):
        raise BadKeysError("expected `jwks_uri` in the discovery document to be an address with https")
    return url


async def _read(session: aiohttp.ClientSession, url: str) -> bytes:
    """Return a document. A redirect is none: whoever can make one must not choose our keys."""
    async with session.get(url, allow_redirects=False, headers=_FIELDS) as response:
        if response.status != 200:
            raise BadKeysError(f"expected status 200, got {response.status}")
        data = b""
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            data += piece
            if len(data) > MAX_DOCUMENT_BYTES:
                raise BadKeysError(f"expected at most {MAX_DOCUMENT_BYTES} bytes")
        return data
