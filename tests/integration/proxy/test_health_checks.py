"""Active checks of a running gateway: begun at the start and by a reload, kept over one, ended by one."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from ...http_client import Answer, client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, upstream


def with_checks(config: dict[str, Any], **check: Any) -> dict[str, Any]:
    for cluster in config["clusters"].values():
        cluster["health_check"] = {"interval": "20ms", "timeout": "5s", **check}
    return {**config, "admin": {"address": "127.0.0.1:0"}}


async def reload(gate: RunningGateway, config: dict[str, Any], version: int) -> None:
    gate.write(config)
    gate.signal(signal.SIGHUP)
    async with asyncio.timeout(10):
        while (await ready(gate)).json()["config_version"] != version:  # noqa: ASYNC110 (it can only be asked for)
            await asyncio.sleep(0.01)


async def ready(gate: RunningGateway) -> Answer:
    async with client(gate.admin_port) as connected:
        connected.writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return await connected.answer("GET")


def test_an_endpoint_that_its_checks_find_bad_gets_no_requests_until_it_is_well() -> None:
    async def main() -> None:
        is_well, bad_asked = asyncio.Event(), asyncio.Event()

        async def flapping(call: Call) -> None:
            if call.line.startswith("GET /health "):
                await call.answer(b"", "200 OK" if is_well.is_set() else "500 Internal Server Error")
            else:
                bad_asked.set()
                await call.answer(b"flapping")

        async def steady(call: Call) -> None:
            await call.answer(b"steady")

        async with upstream(flapping) as first, upstream(steady) as second:
            config = with_checks(plain(first.url))
            config["clusters"]["t0"] |= {"endpoints": [first.url, second.url], "slow_start": "0s"}
            async with gateway(config) as gate:
                await gate.until(lambda: any("is not well: status 500" in line for line in gate.complaints))
                assert {(await fetch(gate.port)).body for _ in range(30)} == {b"steady"}
                assert not bad_asked.is_set()
                is_well.set()
                await gate.until(lambda: any("is well again" in line for line in gate.complaints))
                async with asyncio.timeout(20):
                    while not bad_asked.is_set():
                        assert (await fetch(gate.port)).status == 200

    asyncio.run(main())


def test_a_reload_begins_keeps_and_ends_checks() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def hang(call: Call) -> None:
            assert call.line == "GET /up HTTP/1.1"
            await call.gone()
            ended.set()

        async with upstream(hang) as served:
            without = {**plain(served.url), "admin": {"address": "127.0.0.1:0"}}
            checked = with_checks(plain(served.url), path="/up", timeout="1h")
            async with gateway(without) as gate:
                await reload(gate, checked, 2)
                await served.until(lambda: served.calls)
                await reload(gate, {**checked, "drain": "5s"}, 3)
                assert not ended.is_set(), "the cluster is the same"
                await reload(gate, without, 4)
                async with asyncio.timeout(10):
                    await ended.wait()
                assert served.num_connections == 1

    asyncio.run(main())
