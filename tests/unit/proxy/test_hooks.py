"""The return types that a hook may declare."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import STAGES, hookimpl
from headgate.proxy.plugin_error import PluginError
from headgate.proxy.verdicts import Hit, Identity, Miss

CACHED = "expected the return type Hit | Miss | None, got "


def load(name: str, hook: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "Made", type("Made", (), {name: hookimpl(hook)}))
    load_type("made", EntryPoint("made", f"{__name__}:Made", "headgate.plugins"))


def in_part(self: object, exchange: Exchange) -> Hit | Awaitable[Hit | Miss | None] | None: ...


def coroutine(self: object, exchange: Exchange) -> Coroutine[Any, Any, Hit]: ...  # type: ignore[empty-body]


def future(self: object, exchange: Exchange) -> asyncio.Future[Miss] | Miss: ...  # type: ignore[empty-body]


def any_awaitable(self: object, exchange: Exchange) -> Awaitable: ...  # type: ignore[type-arg, empty-body]


async def plain(self: object, exchange: Exchange) -> Miss | None: ...


@pytest.mark.parametrize("hook", [in_part, coroutine, future, any_awaitable, plain])
def test_a_cache_may_declare_that_it_waits(hook: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    load("headgate_cache", hook, monkeypatch)


def of_another_stage(self: object, exchange: Exchange) -> Awaitable[Identity] | None: ...


def wrong_in_part(self: object, exchange: Exchange) -> Miss | Awaitable[Hit | Response]: ...  # type: ignore[empty-body]


async def twice(self: object, exchange: Exchange) -> Awaitable[Miss]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("name", "hook", "message"),
    [
        ("headgate_cache", of_another_stage, f"{CACHED}Identity"),
        ("headgate_cache", wrong_in_part, f"{CACHED}Response"),
        ("headgate_cache", twice, f"{CACHED}Awaitable"),
        ("headgate_auth", in_part, "expected the return type Identity | Response | Reject | None, got Hit"),
        ("headgate_route", of_another_stage, "expected the return type Route | Reject | None, got Awaitable"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(
    name: str, hook: Callable[..., Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PluginError) as refused:
        load(name, hook, monkeypatch)
    assert str(refused.value).endswith(message)
    assert "test_hooks.py" in str(refused.value)


def test_only_these_stages_wait_for_a_def_hook() -> None:
    assert {stage for stage, rule in STAGES.items() if rule.may_wait} == {"auth", "request", "cache", "aggregate"}
