"""Retry and fallback on real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ...http_client import Answer, fetch
from ...running import gateway, plain
from ...upstream import Call, Script, upstream


async def refuse_status(call: Call) -> None:
    await call.answer(b"down", "503 Service Unavailable")


async def bad_gateway(call: Call) -> None:
    await call.answer(b"bad", "502 Bad Gateway")


async def reset(call: Call) -> None:
    call.reset()
    raise ConnectionError


async def silent(call: Call) -> None:
    await call.gone()
    raise ConnectionError


async def malformed(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nno")


async def error_event(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    event = b'data: {"error": {"message": "overloaded"}}\n\n'
    await call.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event))


async def late_first_event(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await call.gone()
    raise ConnectionError


async def good(call: Call) -> None:
    await call.answer(b'{"answer": 1}', "200 OK", "Content-Type: application/json")


def answer_of(first: Script, **route: object) -> tuple[Answer, int]:
    """Ask a route whose first target does `first`; the answer, and how many attempts the first saw."""

    async def main() -> tuple[Answer, int]:
        async with upstream(first) as heavy, upstream(good) as lite:
            config = plain(heavy.url, lite.url, kind="inference", read_model=False, **route)
            config["clusters"]["t0"]["timeouts"] = {"head": "300ms", "first_event": "300ms"}
            async with gateway(config) as gate:
                return await fetch(gate.port, "POST", "/v1/chat/completions", b"{}"), len(heavy.calls)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("first", "num_tries"),
    [
        (refuse_status, 1),
        (bad_gateway, 2),
        (reset, 2),
        (silent, 1),
        (malformed, 1),
        (error_event, 1),
        (late_first_event, 1),
    ],
)
def test_the_next_target_answers_and_says_so(first: Script, num_tries: int) -> None:
    answer, tries = answer_of(first)
    assert (answer.status, answer.body, answer.is_whole) == (200, b'{"answer": 1}', True)
    assert answer.field("x-headgate-target") == "t1"
    assert answer.field("x-headgate-fallback") == "true"
    assert answer.field("x-headgate-attempts") == str(num_tries + 1)
    assert tries == num_tries


def test_a_refused_connection_falls_back() -> None:
    async def main() -> Answer:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
            async with upstream(good) as lite:
                config = plain(
                    f"http://127.0.0.1:{taken.getsockname()[1]}", lite.url, kind="inference", read_model=False
                )
                async with gateway(config) as gate:
                    return await fetch(gate.port, "POST", "/x", b"{}")

    answer = asyncio.run(main())
    assert (answer.status, answer.field("x-headgate-target")) == (200, "t1")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_the_clients_own_fault_is_passed_on_untouched(status: int) -> None:
    async def refuse(call: Call) -> None:
        await call.answer(b"your fault", f"{status} No", "X-Why: yours")

    answer, tries = answer_of(refuse)
    assert (answer.status, answer.body, answer.field("x-why"), tries) == (status, b"your fault", "yours", 1)


def test_a_post_is_never_sent_twice_where_the_route_does_not_allow_it() -> None:
    async def main() -> tuple[Answer, int, int]:
        async with upstream(reset) as first, upstream(good) as second, gateway(plain(first.url, second.url)) as gate:
            answer = await fetch(gate.port, "POST", "/order", b"one")
            return answer, len(first.calls), len(second.calls)

    answer, first, second = asyncio.run(main())
    assert (answer.status, first, second) == (502, 1, 0)
    assert answer.json()["type"] == "urn:headgate:error:reset"


def test_a_get_is_tried_again() -> None:
    tries = []

    async def once_bad(call: Call) -> None:
        tries.append(call)
        await (reset(call) if len(tries) == 1 else good(call))

    async def main() -> Answer:
        async with upstream(once_bad) as served, gateway(plain(served.url)) as gate:
            return await fetch(gate.port)

    answer = asyncio.run(main())
    assert (answer.status, answer.field("x-headgate-attempts"), answer.field("x-headgate-fallback")) == (200, "2", None)


def test_the_client_can_switch_fallback_off() -> None:
    async def main() -> Answer:
        async with (
            upstream(refuse_status) as heavy,
            upstream(good) as lite,
            gateway(plain(heavy.url, lite.url, kind="inference", read_model=False)) as gate,
        ):
            return await fetch(gate.port, "POST", "/x", b"{}", "X-Headgate-Fallback: off")

    answer = asyncio.run(main())
    assert (answer.status, answer.body, answer.field("x-headgate-target")) == (503, b"down", "t0")


def test_a_body_above_the_replay_buffer_has_one_attempt() -> None:
    answer, tries = answer_of(bad_gateway, replay_buffer=1)
    assert (answer.status, answer.body, tries) == (502, b"bad", 1)


def test_all_targets_down_gives_one_typed_error_under_v1_in_openai_shape() -> None:
    async def main() -> Answer:
        async with (
            upstream(reset) as one,
            upstream(reset) as two,
            gateway(plain(one.url, two.url, kind="inference", read_model=False)) as gate,
        ):
            return await fetch(gate.port, "POST", "/v1/chat/completions", b"{}")

    answer = asyncio.run(main())
    assert answer.status == 502
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("upstream_error", "reset")
    assert error["request_id"] == answer.field("x-request-id")
