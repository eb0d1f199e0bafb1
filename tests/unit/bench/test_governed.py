"""The governed example is what the benchmark says it is."""

from __future__ import annotations

import pytest

from bench import governed
from headgate.proxy.config.explain import explain
from headgate.proxy.config.load import check
from headgate.proxy.plugin_types import PluginTypes

CONFIG = governed.EXAMPLES / governed.CONFIG_NAME


def test_the_files_are_those_that_the_program_writes() -> None:
    assert CONFIG.read_text() == governed.config_text()
    assert (governed.EXAMPLES / governed.KEYS_NAME).read_text() == governed.keys_text()


def test_the_configuration_is_valid_and_has_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(governed.PEPPER_VARIABLE, governed.PEPPER)
    checked = check(CONFIG, PluginTypes().schemas())
    assert checked.warnings == ()
    config = checked.config
    assert (len(config.models), len(config.routes), config.access_log) == (100, 100, "-")
    for model in range(100):
        found = explain(config, "POST", "/v1/chat/completions", model=governed.model(model))
        assert found.error is None and [target.name for target in found.targets] == ["primary", "secondary"]
    stages = config.plugins_of(config.routes[0])
    assert stages == {
        "auth": ("api_key",),
        "route": ("model_route",),
        "ratelimit": ("api_key", "rate_limit"),
        "cache": ("cache",),
    }


def test_keys_differ() -> None:
    assert len({governed.key(number) for number in range(governed.NUM_KEYS)}) == governed.NUM_KEYS == 1000
