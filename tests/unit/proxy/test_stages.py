"""The chains of hooks: what is called, what is waited for, and what a failure means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.stages import Chain, Hook, Waiting
from headgate.proxy.verdicts import Hit, Identity, Miss, Reject, Reservation

from ...virtual_clock import run
from ..plugins.exchanges import make_exchange

REJECT = Reject("rate_limited")


def chain(stage: str, *functions: Callable[..., Any]) -> Chain:
    return Chain(
        stage,
        tuple(Hook(f"p{n}", function, asyncio.iscoroutinefunction(function)) for n, function in enumerate(functions)),
    )


def answering(answer: object, calls: list[object] | None = None) -> Callable[..., Any]:
    """A `def` hook; a list that is given is told of each call."""

    def hook(exchange: Exchange, *rest: object) -> Any:
        if calls is not None:
            calls.append(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return hook


async def later(answer: object, delay_s: float = 1.0) -> Any:
    await asyncio.sleep(delay_s)
    return answer


def exchange_until(deadline: float = float("inf")) -> Exchange:
    exchange = make_exchange(now=lambda: asyncio.get_running_loop().time())
    exchange.deadline = deadline
    return exchange


def test_a_chain_is_inline_where_no_hook_is_async() -> None:
    async def hook(exchange: Exchange) -> None: ...

    assert chain("auth").is_inline and not chain("auth")
    assert chain("auth", answering(None), answering(None)).is_inline
    assert not chain("auth", answering(None), hook).is_inline
    assert chain("auth", answering(None), hook).names == ("p0", "p1")


def test_the_first_answer_ends_the_stage() -> None:
    calls: list[object] = []
    answers = [None, Identity("k", "t"), Identity("other", "t")]
    found = chain("auth", *(answering(answer, calls) for answer in answers)).first_inline(make_exchange())
    assert found is answers[1]
    assert calls == answers[:2]


def test_a_refusal_keeps_later_hooks_from_being_called() -> None:
    calls: list[object] = []
    answers = [None, Reservation(), REJECT, Reservation()]
    made = chain("ratelimit", *(answering(answer, calls) for answer in answers))
    assert list(made.each_inline(make_exchange())) == [Reservation(), REJECT]
    assert calls == answers[:3]


def test_what_was_reserved_is_told_before_a_later_hook_fails() -> None:
    made = chain("ratelimit", answering(Reservation()), answering(RuntimeError("broken")))
    told = made.each_inline(make_exchange())
    assert next(told) == Reservation()
    with pytest.raises(GatewayError) as failed:
        next(told)
    assert (failed.value.kind.name, "p1" in failed.value.detail) == ("stage_unavailable", True)


def test_every_hook_is_shown_the_answer_whatever_one_of_them_does() -> None:
    shown: list[object] = []

    def note(exchange: Exchange, response: Response) -> None:
        shown.append(response)

    made = chain("response_head", note, answering(ValueError("broken")), answering("wrong"), note)
    response = Response(200)
    made.every_inline(make_exchange(), response)
    assert shown == [response, response]


@pytest.mark.parametrize("stage", ["auth", "request", "cache", "aggregate"])
def test_a_def_hook_may_have_to_wait(stage: str) -> None:
    answers = {"auth": Identity("k", "t"), "request": REJECT, "cache": Hit(Response(200)), "aggregate": Response(200)}
    answer = answers[stage]

    async def main() -> None:
        made = chain(stage, answering(None), lambda exchange: later(answer), answering(RuntimeError("too far")))
        waiting = made.first_inline(exchange_until())
        assert type(waiting) is Waiting and made.is_inline
        assert await waiting is answer
        assert await made.first(exchange_until()) is answer
        assert asyncio.get_running_loop().time() == 2.0

    run(main())


def test_who_waited_in_vain_leaves_it_to_the_hooks_after_it() -> None:
    async def main() -> None:
        calls: list[object] = []
        late = Miss(status="late")
        hooks = [
            lambda exchange: later(None),
            answering(None, calls),
            lambda exchange: later(late),
            answering(late, calls),
        ]
        assert await chain("cache", *hooks).first_inline(exchange_until()) is late
        assert calls == [None]
        assert asyncio.get_running_loop().time() == 2.0

    run(main())


def test_a_future_is_waited_for_as_well() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(3.0, future.set_result, Miss())
        assert await chain("cache", lambda exchange: future).first_inline(exchange_until()) == Miss()

    run(main())


@pytest.mark.parametrize("is_async", [False, True])
def test_who_waits_has_until_the_deadline(is_async: bool) -> None:
    async def hook(exchange: Exchange) -> Any:
        return await later(None, 10.0)

    async def main() -> None:
        made = chain("cache", hook if is_async else lambda exchange: hook(exchange))
        with pytest.raises(GatewayError) as failed:
            await made.first_inline(exchange_until(4.0))
        assert failed.value.kind.name == "deadline"
        assert asyncio.get_running_loop().time() == 4.0

    run(main())


def test_a_failure_after_waiting_is_one_like_any_other() -> None:
    async def broken() -> Any:
        await asyncio.sleep(1)
        raise RuntimeError("broken")

    async def main() -> None:
        hooks = tuple(Hook("p", lambda exchange, work=work: work(), False) for work in (broken, lambda: later("wrong")))
        assert (
            await Chain("cache", (*hooks, Hook("last", answering(Miss()), False))).first_inline(exchange_until())
            == Miss()
        )
        assert [hook.num_errors for hook in hooks] == [1, 1]

    run(main())


def test_what_is_not_waited_for_can_be_closed() -> None:
    async def hook(exchange: Exchange) -> None: ...

    async def main() -> None:
        for made in (chain("cache", lambda exchange: later(None)), chain("auth", hook)):
            made.first_inline(exchange_until()).close()  # a coroutine that is never awaited would be a warning

    run(main())


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("ratelimit", "stage_unavailable"), ("route", None)],
)
def test_in_other_stages_an_awaitable_of_a_def_hook_is_a_wrong_answer(stage: str, kind: str | None) -> None:
    async def main() -> None:
        hook = Hook("p", lambda exchange: later(Identity("k", "t")), False)
        made = Chain(stage, (hook,))
        for ask in (made.first_inline, lambda exchange: list(made.each_inline(exchange))):
            if kind is None:
                assert not ask(exchange_until())
            else:
                with pytest.raises(GatewayError, match="got coroutine") as failed:
                    ask(exchange_until())
                assert failed.value.kind.name == kind
        assert hook.num_errors == 2

    run(main())


def test_an_error_of_the_gateway_passes_but_in_the_stages_that_only_look() -> None:
    gone = GatewayError("client_gone")
    asked: dict[str, Callable[[Chain], Any]] = {
        "auth": lambda made: made.first_inline(make_exchange()),
        "request": lambda made: list(made.each_inline(make_exchange())),
        "response_head": lambda made: made.every_inline(make_exchange(), Response(200)),
        "event": lambda made: made.events(make_exchange(), b"event"),
        "log": lambda made: made.every_inline(make_exchange(), None),
    }
    passing = []
    for stage, ask in asked.items():
        hook = Hook("p", answering(gone), False)
        try:
            ask(Chain(stage, (hook,)))
        except GatewayError as error:
            assert error is gone
            passing.append(stage)
        assert hook.num_errors == (0 if stage in passing else 1)
    assert passing == ["auth", "request"]


def test_the_log_runs_to_its_end_in_any_form() -> None:
    async def main() -> None:
        seen: list[str] = []

        async def slow(exchange: Exchange, outcome: object) -> None:
            await asyncio.sleep(0.5)
            seen.append("slow")

        def quick(exchange: Exchange, outcome: object) -> None:
            seen.append("quick")

        await chain("log", quick).every_to_its_end(exchange_until(), None)
        both: Awaitable[None] = chain("log", slow, quick).every_to_its_end(exchange_until(), None)
        task = asyncio.ensure_future(both)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["quick", "slow", "quick"]

    run(main())
