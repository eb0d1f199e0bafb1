"""The examples are valid, and do what their comments say."""

from __future__ import annotations

from pathlib import Path

from headgate.plugins.model_route import ModelRoute
from headgate.proxy.config.explain import explain
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema

EXAMPLES = Path(__file__).parents[4] / "examples"
SCHEMAS = {"model_route": PluginSchema("model_route", ModelRoute.Config, None, frozenset({"route", "aggregate"}))}


def test_minimal_sends_everything_to_one_service() -> None:
    checked = check(EXAMPLES / "minimal.yaml", {}, {})
    assert checked.warnings == ()
    assert [target.name for target in explain(checked.config, "PUT", "/a/b").targets] == ["service"]


def test_two_tiers_falls_back_from_heavy_to_lite() -> None:
    checked = check(EXAMPLES / "two-tiers.yaml", SCHEMAS, {})
    assert checked.warnings == ()
    for model in ("auto", "gpt-4o", None):
        found = explain(checked.config, "POST", "/v1/chat/completions", model=model)
        assert [target.name for target in found.targets] == ["heavy/heavy", "lite/lite"]
    assert [t.name for t in explain(checked.config, "POST", "/v1/chat/completions", model="lite").targets] == [
        "lite/lite"
    ]
    assert explain(checked.config, "GET", "/v1/models").error is None
