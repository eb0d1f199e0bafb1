"""A plugin whose hooks are `def`, and ask a server of the test what to answer where the request says so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Identity, Reject

Verdict = Identity | Response | Reject | None
KNOWN = Identity("key-1", "tenant-1")


async def told(stage: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["TELLER"]))
    try:
        writer.write(f"{stage}\n".encode())
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()


class Waiter:
    """`x-wait` names the stage that waits."""

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        if exchange.request.fields.get("x-early") == "yes":
            return Response(204)
        return self._auth() if exchange.request.fields.get("x-wait") == "auth" else KNOWN

    async def _auth(self) -> Verdict:
        match await told("auth"):
            case "known":
                return KNOWN
            case "early":
                return Response(200, body=b"early")
            case "empty":
                return Response(204)
            case "refused":
                return Reject("unauthenticated", "not you")
            case "broken":
                raise RuntimeError("the waiter is broken")
        return None

    @hookimpl
    def headgate_request(self, exchange: Exchange) -> Reject | Awaitable[Reject | None] | None:
        return self._request(exchange) if exchange.request.fields.get("x-wait") == "request" else None

    async def _request(self, exchange: Exchange) -> Reject | None:
        word = await told("request")
        exchange.request.fields.set("x-told", word)
        return Reject("forbidden") if word == "refused" else None
