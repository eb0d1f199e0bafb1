"""`api_key` and `rate_limit` in a gateway that serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from headgate.plugins.api_key import digest, new_key

from ...http_client import Answer, client, fetch
from ...running import RunningGateway, gateway
from ...upstream import Call, Upstream, upstream

PEPPER = "a pepper of the tests"
OLD, NEW = new_key("test"), new_key("test")


def keys(key: str, **more: Any) -> dict[str, Any]:
    return {"keys": [{"id": "acme-1", "tenant": "acme", "digests": [{"digest": digest(key, PEPPER)}], **more}]}


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


async def answer_ok(call: Call) -> None:
    await call.answer()


@contextlib.asynccontextmanager
async def governed(folder: Path, served: Upstream, **plugins: Any) -> AsyncIterator[RunningGateway]:
    config = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {"up": {"endpoints": [served.url]}},
        "plugins": {"api_key": {"pepper": "env:PEPPER", "keys_file": str(folder / "keys.json")}, **plugins},
        "stages": {"auth": ["api_key"], "ratelimit": ["api_key", *plugins]},
        "routes": [
            {
                "name": "ops",
                "match": {"path": "/ops"},
                "targets": ["up"],
                "plugins": {"api_key": {"scopes": ["ops"]}},
            },
            {"name": "all", "match": {"path": "/{*rest}"}, "targets": ["up"]},
        ],
    }
    async with gateway(config, PEPPER=PEPPER) as gate:
        yield gate


def test_a_key_opens_and_stays_with_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(keys(OLD)))

    async def main() -> tuple[list[Answer], Upstream]:
        async with upstream(answer_ok) as served, governed(tmp_path, served) as gate:
            tries = (
                ("/x",),
                ("/x", bearer(NEW)),
                ("/x", bearer(OLD)),
                ("/x", f"X-API-Key: {OLD}"),
                ("/ops", bearer(OLD)),
            )
            return [await fetch(gate.port, "GET", path, None, *fields) for path, *fields in tries], served

    answers, served = asyncio.run(main())
    assert [answer.status for answer in answers] == [401, 401, 200, 200, 403]
    challenges = [answer.field("www-authenticate") for answer in answers]
    assert challenges[:2] == ['Bearer realm="headgate"'] * 2
    assert challenges[4] == 'Bearer realm="headgate", error="insufficient_scope", scope="ops"'
    assert len(served.calls) == 2
    assert not any(OLD.encode() in call.head for call in served.calls)


def test_the_keys_file_is_read_again_without_a_reload(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(keys(OLD)))

    async def main() -> list[int]:
        async with upstream(answer_ok) as served, governed(tmp_path, served) as gate:
            before = await fetch(gate.port, "GET", "/x", None, bearer(OLD))
            fresh = tmp_path / "keys.new"
            fresh.write_text(json.dumps(keys(NEW)))
            fresh.replace(tmp_path / "keys.json")
            await gate.until(lambda: any("read again, 1 credentials" in line for line in gate.complaints))
            after = [await fetch(gate.port, "GET", "/x", None, bearer(key)) for key in (OLD, NEW)]
            return [answer.status for answer in (before, *after)]

    assert asyncio.run(main()) == [200, 401, 200]


def test_a_limit_is_told_on_good_answers_and_on_refusals(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(keys(OLD)))

    async def main() -> list[Answer]:
        limit = {"rate": "2/h", "by": ["tenant"]}
        async with upstream(answer_ok) as served, governed(tmp_path, served, rate_limit=limit) as gate:
            return [await fetch(gate.port, "GET", "/x", None, bearer(OLD)) for _ in range(3)]

    answers = asyncio.run(main())
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert {answer.field("ratelimit-policy") for answer in answers} == {'"rate_limit";q=2;w=3600'}
    assert [str(answer.field("ratelimit")).partition(";t=")[0] for answer in answers] == [
        f'"rate_limit";r={left}' for left in (1, 0, 0)
    ]
    retry_after = int(answers[2].field("retry-after") or 0)
    assert 1700 < retry_after <= 1800
    assert answers[2].field("ratelimit") == f'"rate_limit";r=0;t={retry_after}'


def test_a_slot_is_free_again_however_its_request_ends(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(keys(OLD, max_parallel=1)))

    async def main() -> list[int]:
        begun = asyncio.Event()
        let_go = asyncio.Event()

        async def script(call: Call) -> None:
            if "/held" not in call.line:
                await call.answer()
                return
            begun.set()
            await let_go.wait()
            if "/held/cut" in call.line:
                call.reset()
            else:
                await call.answer()

        async with upstream(script) as served, governed(tmp_path, served) as gate:
            statuses: list[int] = []
            for path in ("/held/well", "/held/cut", "/held/left"):
                begun.clear()
                let_go.clear()
                async with client(gate.port) as holder:
                    await holder.send("POST", path, b"{}", bearer(OLD))
                    async with asyncio.timeout(10):
                        await begun.wait()
                    statuses.append((await fetch(gate.port, "GET", "/x", None, bearer(OLD))).status)
                    if path != "/held/left":
                        let_go.set()
                        await holder.answer("POST")
                await gate.until(lambda ended=path: any(line["path"] == ended for line in gate.log()))  # type: ignore[misc]
                statuses.append((await fetch(gate.port, "GET", "/x", None, bearer(OLD))).status)
                let_go.set()
            return statuses

    assert asyncio.run(main()) == [429, 200] * 3
