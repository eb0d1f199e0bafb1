"""What a hook may answer: nonsense is refused where it is made, so that it is told of the plugin that made it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.plugins.testing import Fetched, gateway_with, make_exchange, run_stage
from headgate.proxy.errors import KINDS
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Identity, Reject, Reservation, Route, Target

LINES = "one\r\nx-injected: two"
WRONG: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (Reject, {"kind": "forbiden"}, "expected a kind of docs/errors.md, got 'forbiden'; did you mean `forbidden`?"),
    (Reject, {"kind": None}, "expected a kind of docs/errors.md, got None"),
    (Reject, {"kind": "forbidden", "message": 5}, "expected `message` and `detail` as text, got int and str"),
    (Reject, {"kind": "forbidden", "fields": {"a": "b"}}, "expected pairs of a field's name and value, got dict"),
    (Reject, {"kind": "forbidden", "fields": (("Retry-After", 5),)}, "expected a field's name and value as text"),
    (Reject, {"kind": "forbidden", "fields": (("x-a", LINES),)}, "expected a value of x-a without control characters"),
    (Reservation, {"fields": {"a": "b"}}, "expected pairs of a field's name and value, got dict"),
    (Reservation, {"fields": (("x-a", LINES),)}, "expected a value of x-a without control characters"),
    (Reservation, {"fields": (("x-a", "\u20ac"),)}, "'latin-1' codec can't encode"),
    (Reservation, {"fields": (("x-a:", "b"),)}, "expected a field name of token characters, got 'x-a:'"),
    (Reservation, {"fields": (("", "b"),)}, "expected a field name of token characters, got ''"),
    (Reservation, {"fields": ((b"x-a", b"b"),)}, "expected a field's name and value as text, got b'x-a' and bytes"),
    (Reservation, {"fields": (("x a", "b"),)}, "expected a field name of token characters, got 'x a'"),
    (Reservation, {"settle": "now"}, "expected `settle` to be a function or None, got str"),
    (Identity, {"key_id": 5, "tenant": "t"}, "expected `key_id` and `tenant` as text, got int and str"),
    (Identity, {"key_id": "k", "tenant": None}, "expected `key_id` and `tenant` as text, got str and NoneType"),
    (Identity, {"key_id": "k", "tenant": "t", "routes": "chat"}, "expected `routes` as names in a tuple, or None, got"),
    (Identity, {"key_id": "k", "tenant": "t", "models": 5}, "expected `models` as names in a tuple, or None, got int"),
    (Identity, {"key_id": "k", "tenant": "t", "scopes": "all"}, "expected `scopes` as names in a frozenset, got str"),
    (
        Identity,
        {"key_id": "k", "tenant": "t", "max_priority": "urgent"},
        "expected `max_priority` to be one of bulk, default, interactive, system, got 'urgent'",
    ),
    (Route, {"groups": ("origin",)}, "expected groups of `Target`, got str in a group"),
    (Route, {"groups": (Target("origin"),)}, "expected groups of `Target`, got Target in place of a group"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), WRONG)
def test_nonsense_cannot_be_made(kind: Callable[..., Any], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        kind(**arguments)
    assert str(refused.value).startswith(message)


@given(st.text("aZ:- \t\r\n\0\x7f\xe9\u20ac", max_size=4), st.text("aZ:- \t\r\n\0\x7f\xe9\u20ac", max_size=4))
def test_fields_are_refused_as_one_by_one(name: str, value: str) -> None:
    def is_taken(take: Callable[[], object]) -> bool:
        try:
            take()
        except ValueError:
            return False
        return True

    assert is_taken(lambda: Reservation(None, ((name, value),))) is is_taken(lambda: Fields().set(name, value))


def test_what_is_right_can_be_made() -> None:
    for name in KINDS:
        Reject(name, "message", "detail", (("Retry-After", "5"), ("x-a", "\xe9 \t")))
    Reservation(lambda settlement: None, (("RateLimit", '"a";r=1'),))
    Identity("", "", frozenset({"a"}), ("m-*",), (), "system")
    Route(((Target("a"), Target("b", "m")), ()), "m")
    Route(())


async def texts() -> AsyncIterator[bytes]:
    yield b"text"


ANSWERS: list[tuple[Callable[[], Response], str]] = [
    (lambda: Response(200, body="text"), "expected a body of bytes, or an async iterator of them, got str"),  # type: ignore[arg-type]
    (lambda: Response(200, body=None), "expected a body of bytes, or an async iterator of them, got NoneType"),  # type: ignore[arg-type]
    (lambda: Response(200, body=texts), "expected a body of bytes, or an async iterator of them, got function"),  # type: ignore[arg-type]
    (lambda: Response("200"), "expected a status from 200 to 999, got '200'"),  # type: ignore[arg-type]
    (lambda: Response(99), "expected a status from 200 to 999, got 99"),
    (lambda: Response(101), "expected a status from 200 to 999, got 101"),
    (lambda: Response(1000), "expected a status from 200 to 999, got 1000"),
    (lambda: Response(200, {"a": "b"}), "expected `fields` to be a Fields, got dict"),  # type: ignore[arg-type]
    (lambda: Response(200, Fields([("a", "b")])), "expected fields as pairs of bytes, got 'a' and 'b'"),  # type: ignore[list-item]
    (lambda: Response(200, Fields([(b"a", LINES.encode())])), "expected a value of a without control characters"),
    (lambda: Response(200, Fields([(b"a b", b"c")])), "expected a field name of token characters, got 'a b'"),
    (
        lambda: Response(200, Fields([(b"Content-LENGTH", b"1")]), b"x"),
        "expected no field Content-LENGTH: the gateway says how long the answer is, of a stream by its `length`",
    ),
    (lambda: Response(200, Fields([(b"transfer-encoding", b"chunked")])), "expected no field transfer-encoding"),
]


def answering(answer: Callable[[], Response]) -> type:
    class Answering:
        @hookimpl
        def headgate_auth(self, exchange: object) -> Response:
            return answer()

        @hookimpl
        async def headgate_aggregate(self, exchange: object) -> Response:
            return answer()

    return Answering


@pytest.mark.parametrize(("answer", "message"), ANSWERS)
def test_an_answer_that_cannot_be_written_is_a_failure_of_the_plugin(
    answer: Callable[[], Response], message: str
) -> None:
    plugin = answering(answer)()
    ran = asyncio.run(run_stage(plugin, "auth", make_exchange()))
    assert (ran.error and ran.error.kind.name, ran.num_failures) == ("stage_failed", 1)
    assert message in (ran.error.detail if ran.error else "")
    ran = asyncio.run(run_stage(plugin, "aggregate", make_exchange()))
    assert (ran.answer, ran.error, ran.num_failures) == (None, None, 1)  # the stage fails open


@pytest.mark.parametrize(
    "answer", [lambda: Response(204), lambda: Response(999, body=b"x"), lambda: Response(200, body=texts())]
)
def test_other_answers_are_given(answer: Callable[[], Response]) -> None:
    plugin = answering(answer)()
    for stage in ("auth", "aggregate"):
        ran = asyncio.run(run_stage(plugin, stage, make_exchange()))
        assert isinstance(ran.answer, Response)
        assert ran.num_failures == 0


def test_a_refusal_of_no_known_kind_is_no_crash_of_the_gateway() -> None:
    class Refusing:
        @hookimpl
        def headgate_request(self, exchange: object) -> Reject:
            return Reject("too_silly")

    async def main() -> tuple[Fetched, str]:
        async with gateway_with({"silly": Refusing}) as gate:
            return await gate.fetch(), gate.metrics()

    answer, metrics = asyncio.run(main())
    assert answer.status == 200  # the stage fails open
    assert 'headgate_plugin_failures_total{plugin="silly",stage="request"} 1' in metrics
    assert "headgate_crashes_total" not in metrics
