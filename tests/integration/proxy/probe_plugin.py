"""A plugin that does as the request says, and writes down what it saw."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Hit, Identity, Miss, Outcome, Reject, Reservation, Route, Settlement, Target


def note(**what: Any) -> None:
    with open(os.environ["PROBE_FILE"], "a") as file:
        file.write(json.dumps(what) + "\n")


def wish(exchange: Exchange, stage: str) -> str:
    return exchange.request.fields.get(f"x-probe-{stage}") or ""


class Keeper:
    """A store that notes what it is told."""

    def __init__(self, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._body = b""

    def begin(self, response: Response) -> bool:
        return self._is_wanted

    def write(self, piece: bytes) -> bool:
        self._body += piece
        return True

    def commit(self) -> None:
        note(store="commit", body=self._body.decode())

    def discard(self) -> None:
        note(store="discard", body=self._body.decode())


class Probe:
    """Every stage, driven by `x-probe-*` fields."""

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Identity | Reject | None:
        match wish(exchange, "auth"):
            case "none":
                return None
            case "reject":
                return Reject("forbidden", "not you", "a detail", (("x-why", "probe"),))
            case "raise":
                raise RuntimeError("auth is broken")
            case "wrong":
                return Route(())  # type: ignore[return-value]
        return Identity("key-1", "tenant-1", models=("good*",))

    @hookimpl
    async def headgate_route(self, exchange: Exchange) -> Route | Reject | None:
        await asyncio.sleep(0)
        match wish(exchange, "route"):
            case "second":
                return Route(((Target("t1"),),))
            case "unknown":
                return Route(((Target("nowhere"),),))
            case "model":
                return Route(exchange.groups, "good-model")
            case "bad-model":
                return Route(exchange.groups, "bad-model")
        return None

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | Reservation | None:
        match wish(exchange, "ratelimit"):
            case "reject":
                return Reject("rate_limited", fields=(("retry-after", "7"),))
            case "raise":
                raise RuntimeError("the limiter is broken")
            case "none":
                return None

        def settle(settlement: Settlement) -> None:
            note(settled=settlement.status, error=settlement.error, gone=settlement.is_client_gone)

        return Reservation(settle, (("ratelimit", "probe"),))

    @hookimpl
    def headgate_request(self, exchange: Exchange) -> Reject | None:
        match wish(exchange, "request"):
            case "reject":
                return Reject("forbidden")
            case "edit":
                exchange.request.fields.set("x-edited", "yes")
                exchange.request.body.replace(b"edited body") if exchange.request.body.is_empty else None
        return None

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Hit | Miss | None:
        match wish(exchange, "cache"):
            case "hit":
                return Hit(Response(200, Fields([(b"content-type", b"text/plain")]), b"from the cache"))
            case "miss":
                return Miss(Keeper(True))
            case "unwanted":
                return Miss(Keeper(False))
            case "raise":
                raise RuntimeError("the cache is broken")
        return None

    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Response | Reject | None:
        match wish(exchange, "aggregate"):
            case "own":
                return Response(200, Fields(), b"my own")
            case "call":
                answer = await exchange.call(Target("t1"))
                answer.fields.set("x-called", "t1")
                return answer
            case "leak":
                await exchange.call(Target("t1"))  # never read, never closed
                return Response(200, Fields(), b"leaked")
            case "slow":
                await asyncio.sleep(3600)
        return None

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        if wish(exchange, "head") == "raise":
            raise RuntimeError("the head is broken")
        response.fields.set("x-probe", "seen")

    @hookimpl
    def headgate_event(self, exchange: Exchange, event: bytes) -> bytes | None:
        if wish(exchange, "event") == "upper":
            return event.replace(b"data: ", b"data: >")
        return b"" if wish(exchange, "event") == "drop" and b"secret" in event else None

    @hookimpl
    async def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        note(log=outcome.status, error=outcome.error, target=outcome.target)
        if wish(exchange, "log") == "raise":
            raise RuntimeError("the log is broken")
