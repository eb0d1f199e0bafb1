"""`prompt_guard` in a gateway that serves: bodies that come at once, and those that come later."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ...http_client import Answer, client, fetch
from ...running import WAYS, gateway, plain
from ...upstream import Call, upstream

GOOD = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a good one"}]}).encode()
BAD = json.dumps({"model": "m", "messages": [{"role": "user", "content": "an EVIL one"}]}).encode()


async def answer_length(call: Call) -> None:
    await call.answer(b"%d" % len(call.body))


@pytest.mark.parametrize("environment", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("reads_model", [True, False])
def test_nothing_that_is_refused_reaches_the_service(environment: dict[str, str], reads_model: bool) -> None:
    async def main() -> tuple[list[Answer], int, list[dict[str, Any]]]:
        async with upstream(answer_length) as served:
            config = plain(served.url, read_model=reads_model)
            config["plugins"] = {"prompt_guard": {"deny_texts": ["evil"], "max_bytes": 1000}}
            config["stages"] = {"request": ["prompt_guard"]}
            async with gateway(config, False, False, **environment) as gate:
                answers = [await fetch(gate.port, "POST", "/v1/x", body) for body in (GOOD, BAD, GOOD + b" " * 1000)]
                for body in (GOOD, BAD):  # behind its head, in two pieces
                    async with client(gate.port) as slow:
                        head = f"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
                        slow.writer.write(head.encode())
                        await slow.writer.drain()
                        slow.writer.write(body[:30])
                        await slow.writer.drain()
                        slow.writer.write(body[30:])
                        answers.append(await slow.answer("POST"))
                answers.append(await fetch(gate.port, "GET", "/v1/x"))
                await gate.until(lambda: len(gate.log()) == 6)
                return answers, len(served.calls), gate.log()

    answers, num_calls, log = asyncio.run(main())
    assert [answer.status for answer in answers] == [200, 403, 413, 200, 403, 200]
    assert answers[0].body == answers[3].body == b"%d" % len(GOOD)
    assert num_calls == 3
    for answer in (answers[1], answers[4]):
        assert answer.json()["error"]["message"] == "the prompt holds what is not allowed here"
    assert "evil" not in json.dumps(log).lower()
