"""The plugin `model_route`: which targets a request gets."""

from __future__ import annotations

import pytest

from headgate.plugins.model_route import ModelRoute
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import ModelInfo, Setup
from headgate.proxy.verdicts import Identity, Reject, Route, Target

from .exchanges import NoBody, make_exchange

HEAVY, LITE = ((Target("heavy"), Target("lite")),), ((Target("lite"),),)


class SomeBody(NoBody):
    length = 2
    is_empty = False


def make(default: str | None = None) -> ModelRoute:
    plugin = ModelRoute(ModelRoute.Config(default=default))
    plugin.headgate_configure(Setup("model_route", None, {"heavy": ModelInfo(("gpt",)), "lite": ModelInfo()}))
    return plugin


def asking(model: str | None, *, identity: Identity | None = None, is_empty: bool = False) -> Exchange:
    exchange = make_exchange(model=model, identity=identity)
    exchange.request.method = "POST"
    exchange.request.body = NoBody() if is_empty else SomeBody()
    exchange.models = {"heavy": HEAVY, "lite": LITE}
    return exchange


def test_a_model_and_its_alias_have_the_same_route() -> None:
    plugin = make()
    assert plugin.headgate_route(asking("heavy")) == Route(HEAVY, "heavy")
    assert plugin.headgate_route(asking("gpt")) is plugin.headgate_route(asking("heavy"))
    assert plugin.headgate_route(asking("lite")) == Route(LITE, "lite")


def test_targets_of_a_new_configuration_count_at_once_and_the_old_ones_for_who_has_them() -> None:
    plugin = make()
    old, new = asking("lite"), asking("lite")
    new.models = {"heavy": HEAVY, "lite": HEAVY}
    for _ in range(2):
        assert plugin.headgate_route(old) == Route(LITE, "lite")
        assert plugin.headgate_route(new) == Route(HEAVY, "lite")
    new.models = {"heavy": HEAVY}
    assert isinstance(plugin.headgate_route(new), Reject)


@pytest.mark.parametrize(
    ("model", "default", "kind"),
    [
        (None, None, "bad_body"),
        ("none", None, "model_not_found"),
        ("none", "lite", "model_not_found"),
        (None, "lite", ""),
    ],
)
def test_who_names_no_model_of_ours(model: str | None, default: str | None, kind: str) -> None:
    for is_empty in (False, True):
        found = make(default).headgate_route(asking(model, is_empty=is_empty))
        assert found == Route(LITE, "lite") if not kind else isinstance(found, Reject) and found.kind == kind


def test_nobody_has_to_name_a_model_where_there_is_no_body_and_another_target() -> None:
    exchange = asking(None, is_empty=True)
    exchange.groups = LITE
    assert make("lite").headgate_route(exchange) is None
    exchange.groups, exchange.request.method = (), "GET"
    assert make("lite").headgate_route(exchange) is None


def test_a_model_that_may_not_be_used_is_as_unknown_as_any() -> None:
    plugin = make()
    told = [
        plugin.headgate_route(asking(model, identity=Identity("k", "t", models=("lite",)))) for model in ("gpt", "x")
    ]
    assert [type(verdict) for verdict in told] == [Reject, Reject]
    assert isinstance(plugin.headgate_route(asking("gpt", identity=Identity("k", "t", models=("heavy",)))), Route)
