"""The kit runs one stage as the gateway would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from headgate.plugins.testing import make_exchange, make_plugin, run_stage
from headgate.plugins.testing.stage_run import StageRun
from headgate.plugins.testing.virtual_clock import run
from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.plugin_error import PluginError
from headgate.proxy.verdicts import Hit, Identity, Miss, Outcome, Reject, Reservation, Target


class Anything:
    """Answers what it is told, in every stage of one answer."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def _give(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Any:
        return self._give()

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Any:
        return self._give()

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Any:
        return self._give()

    @hookimpl
    async def headgate_aggregate(self, exchange: Exchange) -> Any:
        await asyncio.sleep(60)
        return self._give()

    @hookimpl
    def headgate_event(self, exchange: Exchange, event: bytes) -> Any:
        return self._give()


def ran(answer: Any, stage: str, shown: object = None, deadline_s: float = 100.0) -> StageRun:
    async def main() -> StageRun:
        return await run_stage(Anything(answer), stage, make_exchange(deadline_s=deadline_s), shown)

    return run(main())


def test_a_good_answer_is_the_answer() -> None:
    identity, reservation = Identity("k", "t"), Reservation()
    assert ran(identity, "auth") == StageRun(identity, None, 0)
    assert ran(reservation, "ratelimit") == StageRun(reservation, None, 0)
    assert ran(None, "ratelimit") == StageRun(None, None, 0)
    assert ran(b"", "event", b"data: 1\n\n") == StageRun(b"", None, 0)
    assert ran(None, "event", b"data: 1\n\n") == StageRun(b"data: 1\n\n", None, 0)


def test_an_awaitable_is_waited_for_where_the_stage_may_wait() -> None:
    async def later() -> Miss:
        return Miss()

    assert ran(later(), "cache") == StageRun(Miss(), None, 0)
    refused = ran(later(), "auth")
    assert (refused.error and refused.error.kind.name, refused.num_failures) == ("stage_failed", 1)


@pytest.mark.parametrize("answer", ["wrong", Hit(Response(200)), RuntimeError("broken")])
def test_a_failure_ends_the_exchange_where_the_stage_fails_closed(answer: object) -> None:
    auth, limit = ran(answer, "auth"), ran(answer, "ratelimit")
    assert auth.error is not None and limit.error is not None
    assert (auth.error.kind.name, limit.error.kind.name) == ("stage_failed", "stage_unavailable")
    assert (auth.num_failures, limit.num_failures) == (1, 1)


def test_a_failure_is_silence_where_the_stage_fails_open() -> None:
    assert ran(RuntimeError("broken"), "cache") == StageRun(None, None, 1)
    assert ran("wrong", "event", b"data: 1\n\n") == StageRun(b"data: 1\n\n", None, 1)


def test_the_deadline_of_the_exchange_bounds_what_waits() -> None:
    late = ran(Response(200), "aggregate", deadline_s=59.0)
    assert late.error is not None
    assert (late.error.kind.name, late.error.detail) == ("deadline", "in plugin plugin")
    assert ran(Response(200), "aggregate", deadline_s=61.0).error is None


def test_a_refusal_that_the_core_raises_is_no_fault_of_the_plugin() -> None:
    gone = ran(GatewayError("client_gone"), "auth")
    assert (gone.error and gone.error.kind.name, gone.num_failures) == ("client_gone", 0)


def test_a_stage_that_the_plugin_has_not_is_named() -> None:
    with pytest.raises(ValueError, match=r"plugin's stages, auth, ratelimit.*`headgate_route` with @hookimpl"):
        ran(None, "route")
    with pytest.raises(ValueError, match="expected a stage, got 'nonsense'; the stages are auth, route"):
        ran(None, "nonsense")
    with pytest.raises(TypeError, match="expected the event's bytes"):
        ran(None, "event")


def test_a_class_that_the_gateway_refuses_is_refused() -> None:
    class Wrong:
        @hookimpl
        def headgate_autth(self, exchange: Exchange) -> None: ...

    with pytest.raises(PluginError, match=r"Wrong\).*did you mean `headgate_auth`"):
        run(run_stage(Wrong(), "auth", make_exchange()))


class Counted:
    """Keeps what its set-up hooks are told."""

    class Config(BaseModel):
        """Settings."""

        model_config = ConfigDict(extra="forbid")
        limit: int = 1

    def __init__(self, config: Config) -> None:
        self.limit = config.limit
        self.told: list[str] = []

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        self.told.append(f"configured as {setup.name} after {type(setup.previous).__name__}")

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        self.told.append("metrics")

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        exchange.extra["limit"] = str(self.limit)


def test_an_instance_is_made_as_the_gateway_makes_it() -> None:
    first = make_plugin(Counted, name="counted")
    second = make_plugin(Counted, {"limit": 7}, name="counted", previous=first)
    assert (first.limit, second.limit) == (1, 7)
    assert second.told == ["configured as counted after Counted", "metrics"]
    with pytest.raises(ValidationError, match="limit"):
        make_plugin(Counted, {"limit": "many"})
    with pytest.raises(PluginError, match="expected no settings, as Anything has no `Config`"):
        make_plugin(Anything, {"limit": 1})


def test_exchanges_are_as_told() -> None:
    async def main() -> Exchange:
        await asyncio.sleep(5)
        return make_exchange(
            "POST", "/a?b=c", [("X-One", "1")], b"four", identity=Identity("k", "t"), deadline_s=10, model="lite"
        )

    made = run(main())
    request = made.request
    assert (request.method, request.path, request.query, request.target) == ("POST", "/a", "b=c", "/a?b=c")
    assert (request.fields["x-one"], request.body.length, made.model, made.deadline) == ("1", 4, "lite", 15.0)
    assert run(request.body.read(4)) == b"four"
    with pytest.raises(GatewayError) as refused:
        run(request.body.read(3))
    assert refused.value.kind.name == "body_too_large"
    request.body.replace(b"longer than before")
    assert (request.body.length, run(request.body.read(99))) == (18, b"longer than before")


def test_a_target_is_not_called_where_nobody_said_what_it_answers() -> None:
    made: Awaitable[Response] = make_exchange().call(Target("a"))
    with pytest.raises(GatewayError):
        run(_awaited(made))
    assert isinstance(ran(Reject("forbidden"), "auth").answer, Reject)


async def _awaited(work: Awaitable[Response]) -> Response:
    return await work
