"""`quota` in a gateway that serves: what services say they used is what is charged, whoever is killed meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ...http_client import Answer, client
from ...running import RunningGateway, process
from ...upstream import Call, upstream
from ..proxy.completions import DONE, PATH, begin, chunks, end, event, events
from .quota_gateway import (
    KEY,
    MAX_TOKENS,
    OTHER,
    PEPPER,
    PROMPT_TOKENS,
    READY_S,
    REQUESTS,
    TOKENS,
    answered,
    body_of,
    both_ways,
    config_of,
    left,
    play,
    post,
    settled,
)


@both_ways
def test_what_the_service_used_is_charged(lane: str) -> None:
    async def ask(gate: RunningGateway) -> tuple[Answer, int]:
        return await post(gate), await settled(gate, TOKENS - 20, 10**9 - 7 - 26)

    answer, requests = play(answered, ask, lane)
    assert answer.status == 200
    assert f'"quota/key/total/tokens";r={TOKENS - PROMPT_TOKENS - MAX_TOKENS}' in (answer.field("ratelimit") or "")
    assert requests == REQUESTS - 1


@both_ways
def test_a_stream_without_usage_is_charged_by_its_events(lane: str) -> None:
    async def script(call: Call) -> None:
        if not call.body:
            return await answered(call)
        await begin(call)
        await chunks(call, [*events(), DONE])
        await end(call)

    async def ask(gate: RunningGateway) -> tuple[Answer, int]:
        answer, num_events = await post(gate, is_stream=True), len(events())
        return answer, await settled(gate, TOKENS - PROMPT_TOKENS - num_events, 10**9 - PROMPT_TOKENS - 2 * num_events)

    answer, requests = play(script, ask, lane)
    assert (answer.is_whole, requests) == (True, REQUESTS - 1)


@both_ways
def test_a_stream_that_nobody_here_can_read_is_charged_as_reserved(lane: str) -> None:
    """Its events are in a content coding, as clients may ask for it."""
    whole = gzip.compress(b"".join([*events(), DONE]))

    async def script(call: Call) -> None:
        if not call.body:
            return await answered(call)
        await begin(call, "Content-Encoding: gzip")
        await chunks(call, [whole])
        await end(call)

    async def ask(gate: RunningGateway) -> tuple[Answer, int]:
        answer = await post(gate, is_stream=True)
        return answer, await settled(gate, TOKENS - PROMPT_TOKENS - MAX_TOKENS, 10**9 - PROMPT_TOKENS - 2 * MAX_TOKENS)

    answer, requests = play(script, ask, lane)
    assert (answer.body, requests) == (whole, REQUESTS - 1)


@both_ways
def test_a_client_that_leaves_pays_for_what_had_come(lane: str) -> None:
    async def script(call: Call) -> None:
        if not call.body:
            return await answered(call)
        await begin(call)
        await chunks(call, [event(number, "word ") for number in range(3)])
        await call.gone()
        raise ConnectionError

    async def ask(gate: RunningGateway) -> int:
        async with client(gate.port) as asking:
            await asking.send("POST", PATH, body_of(is_stream=True), f"Authorization: Bearer {KEY}")
            await asking.head()
            found = b""
            while found.count(b"data: ") < 3:
                found += await asking.reader.read(65536)
            assert (await left(gate, OTHER))[0] == REQUESTS - 1
        return await settled(gate, TOKENS - PROMPT_TOKENS - 3, 10**9 - PROMPT_TOKENS - 6)

    assert play(script, ask, lane) == REQUESTS - 1


@both_ways
def test_what_no_service_has_seen_costs_nothing(lane: str) -> None:
    async def refuse(call: Call) -> None:
        await call.answer(b"", "500 Internal Server Error") if call.body else await answered(call)

    async def ask(gate: RunningGateway) -> tuple[int, int]:
        return (await post(gate)).status, await settled(gate, TOKENS, 10**9)

    assert play(refuse, ask, lane) == (500, REQUESTS)


@both_ways
def test_a_refusal_is_one_that_openai_clients_read(lane: str) -> None:
    limits = [{"by": "key", "per": "total", "max_tokens": 600}]

    async def ask(gate: RunningGateway) -> list[Answer]:
        answers = []
        async with client(gate.port) as asking:  # one connection: what it asked before is settled
            for key in (KEY, KEY, KEY, KEY, KEY, OTHER):
                await asking.send("POST", PATH, body_of(), f"Authorization: Bearer {key}")
                answers.append(await asking.answer("POST"))
        return answers

    answers = play(answered, ask, lane, limits=limits)
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 403, 200]
    error = answers[4].json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "quota_exceeded")
    assert error["message"] == (
        "the quota of this key is 600 tokens in total, 520 tokens left, and this needs 530 tokens: it is not renewed"
    )
    assert answers[4].field("ratelimit") == '"quota/key/total/tokens";r=520'


@contextlib.asynccontextmanager
async def workers(path: Path, config: dict[str, Any]) -> AsyncIterator[RunningGateway]:
    written(path, config)
    async with process(("serve", str(path), "--workers", "2"), path, is_fresh=True, PEPPER=PEPPER) as gate:
        yield gate


def written(path: Path, config: dict[str, Any]) -> None:
    path.write_text(json.dumps(config))


def workers_of(gate: RunningGateway) -> set[int]:
    children = Path(f"/proc/{gate.process.pid}/task/{gate.process.pid}/children").read_text()
    return set(map(int, children.split()))


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_killed_worker_leaves_what_it_had_reserved_charged_and_no_more(tmp_path: Path, is_kept: bool) -> None:
    """Every request ends, or is one of those that the killed worker had under way: the sums say which."""
    go = asyncio.Event()

    async def script(call: Call) -> None:
        if call.body and not go.is_set():
            await go.wait()
        await answered(call)

    async def main() -> None:
        file = {"file": str(tmp_path / "accounts")} if is_kept else {}
        async with (
            upstream(script) as served,
            workers(tmp_path / "gateway.yaml", config_of(served, **file)) as gate,
        ):
            asked = [asyncio.create_task(try_to(gate)) for _ in range(40)]
            await served.until(lambda: len(served.calls) == 40)
            # All at once: what all have reserved is charged, to the token.
            assert await left(gate) == (REQUESTS - 41, TOKENS - 40 * 530, 10**9 - 40 * 1030)
            before = workers_of(gate)
            os.kill(min(before), signal.SIGKILL)
            async with asyncio.timeout(READY_S):
                while len(workers_of(gate)) < 2 or workers_of(gate) == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            go.set()
            num_lost = (await asyncio.gather(*asked)).count(None)
            assert 0 < num_lost < 40
            num_whole = 40 - num_lost
            expected = TOKENS - 530 * num_lost - 20 * num_whole, 10**9 - 1030 * num_lost - 33 * num_whole
            assert await settled(gate, *expected) == REQUESTS - 41
            # Whichever worker is asked, the successor too.
            requests = (await left(gate))[0]
            for number in range(1, 11):
                assert await left(gate) == (requests - number, *expected)

    asyncio.run(main())


async def try_to(gate: RunningGateway) -> Answer | None:
    """Return the answer; None where the connection ended without one."""
    try:
        answer = await post(gate)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    assert answer.status == 200
    return answer


def test_a_gateway_of_workers_that_is_killed_whole_forgets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "gateway.yaml"
        async with upstream(answered) as served:
            config = config_of(served, file="accounts")
            async with workers(path, config) as gate:
                for _ in range(10):
                    assert (await post(gate)).status == 200
                assert await settled(gate, TOKENS - 200, 10**9 - 330) == REQUESTS - 10
                found = await left(gate)
                for pid in (gate.process.pid, *workers_of(gate)):
                    os.kill(pid, signal.SIGKILL)
                await gate.process.wait()
            async with workers(path, config) as gate:
                requests, *rest = await left(gate)
                assert (requests, *rest) == (found[0] - 1, *found[1:])

    asyncio.run(main())


def test_a_reload_of_workers_keeps_the_accounts_and_takes_the_limit(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "gateway.yaml"
        async with upstream(answered) as served, workers(path, config_of(served)) as gate:
            for _ in range(5):
                await post(gate)
            gate.write(config_of(served, limits=[{"by": "key", "per": "total", "max_requests": 6}]))
            gate.signal(signal.SIGHUP)
            await gate.until(lambda: sum("version 2 is in force" in line for line in gate.complaints) == 2)
            assert [(await post(gate)).status for _ in range(3)] == [200, 403, 403]

    asyncio.run(main())
