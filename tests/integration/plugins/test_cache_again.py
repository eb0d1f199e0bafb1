"""`cache` in a gateway that serves: stored answers that are asked for again."""

from __future__ import annotations

import asyncio

import pytest

from ...http_client import Answer, client, fetch
from ...upstream import Call, Upstream, upstream
from .test_cache import ADMIN, cached


async def short_lived(call: Call) -> None:
    """Confirms where it is asked to, and tells what it was asked with."""
    if '"v1"' in call.fields("if-none-match"):
        await call.send(b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\nX-Own: 2\r\nCache-Control: no-cache\r\n\r\n')
    else:
        await call.answer(b"hello", "200 OK", "Cache-Control: no-cache", 'ETag: "v1"', "X-Own: 1")


def test_stored_answer_is_confirmed_and_the_connection_kept() -> None:
    async def main() -> tuple[list[Answer], Upstream]:
        async with upstream(short_lived) as served, cached(served.url) as gate, client(gate.port) as one:
            wishes = (("GET",), ("GET",), ("GET", 'If-None-Match: "v1"'), ("GET", 'If-None-Match: "v0"'))
            answers = [await one.request(method, "/a", None, *fields) for method, *fields in wishes]
            await gate.until(lambda: len(gate.log()) == 4)
            assert [line["cache"] for line in gate.log()] == ["miss", *["revalidated"] * 3]
            return answers, served

    (_, confirmed, unmodified, other), served = asyncio.run(main())
    assert [call.fields("if-none-match") for call in served.calls] == [[], *[['"v1"']] * 3]
    assert served.num_connections == 1
    assert (confirmed.status, confirmed.body, confirmed.field("x-own")) == (200, b"hello", "2")
    assert confirmed.field("cache-status") == "headgate; fwd=stale; fwd-status=304; stored"
    assert confirmed.field("content-length") == "5"
    assert (unmodified.status, unmodified.body) == (304, b"")
    assert (other.status, other.body) == (200, b"hello")


def test_confirmation_of_something_else_is_asked_again() -> None:
    async def wrong(call: Call) -> None:
        if call.fields("if-none-match"):
            await call.send(b'HTTP/1.1 304 Not Modified\r\nETag: "v2"\r\n\r\n')
        else:
            await call.answer(b"%d" % len(served_calls), "200 OK", "Cache-Control: no-cache", 'ETag: "v1"')

    served_calls: list[Call] = []

    async def main() -> list[Answer]:
        nonlocal served_calls
        async with upstream(wrong) as served, cached(served.url, admin=ADMIN) as gate:
            served_calls = served.calls
            answers = [await fetch(gate.port, "GET", "/a") for _ in range(2)]
            await gate.until(lambda: len(gate.log()) == 2)
            assert [line["attempts"] for line in gate.log()] == [1, 2]
            metrics = (await fetch(gate.admin_port, "GET", "/metrics")).body.decode()
            assert 'headgate_attempts_total{target="t0",outcome="answered"} 3' in metrics
            return answers

    answers = asyncio.run(main())
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"1"), (200, b"3")]
    assert [answer.field("x-headgate-attempts") for answer in answers] == ["1", "2"]


@pytest.mark.parametrize(("max_attempts", "num_attempts"), [(1, 2), (2, 2), (3, 3), (100, 3)])
def test_asking_again_has_the_attempts_that_are_left_but_one_at_least(max_attempts: int, num_attempts: int) -> None:
    async def wrong(call: Call) -> None:
        match len(served_calls):
            case 1:
                await call.answer(b"x", "200 OK", "Cache-Control: no-cache", 'ETag: "v1"')
            case 2:
                await call.send(b'HTTP/1.1 304 Not Modified\r\nETag: "v2"\r\n\r\n')
            case _:
                await call.answer(b"no", "503 Service Unavailable")

    served_calls: list[Call] = []

    async def main() -> Answer:
        nonlocal served_calls
        async with upstream(wrong) as served, cached(served.url, max_attempts=max_attempts) as gate:
            served_calls = served.calls
            await fetch(gate.port, "GET", "/a")
            answer = await fetch(gate.port, "GET", "/a")
            await gate.until(lambda: len(gate.log()) == 2)
            assert gate.log()[1]["attempts"] == num_attempts
            return answer

    answer = asyncio.run(main())
    assert (answer.status, answer.field("x-headgate-attempts")) == (503, str(num_attempts))
    assert len(served_calls) == 1 + num_attempts


def test_stale_answer_stands_in_for_a_failure_and_for_silence() -> None:
    async def failing(call: Call) -> None:
        if len(served_calls) == 1:
            await call.answer(b"hello", "200 OK", "Cache-Control: max-age=1, stale-if-error=60", "Age: 1")
        elif len(served_calls) == 2:
            await call.answer(b"no", "503 Service Unavailable")
        else:
            call.writer.close()

    served_calls: list[Call] = []

    async def main() -> list[Answer]:
        nonlocal served_calls
        async with upstream(failing) as served, cached(served.url, retry={"on": []}) as gate:
            served_calls = served.calls
            return [await fetch(gate.port, "GET", path) for path in ("/a", "/a", "/a", "/other")]

    first, failed, silent, other = asyncio.run(main())
    assert first.body == failed.body == silent.body == b"hello"
    assert [answer.field("x-headgate-cache") for answer in (failed, silent)] == ["stale"] * 2
    assert failed.field("cache-status") == "headgate; fwd=stale; fwd-status=503; detail=stale-if-error"
    assert silent.field("cache-status") == "headgate; fwd=stale; detail=stale-if-error"
    assert other.status == 502
