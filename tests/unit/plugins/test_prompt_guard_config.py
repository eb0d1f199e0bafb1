"""What may stand in the settings of `prompt_guard`, and what is said to what may not."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest

from headgate.plugins.prompt_guard import PromptGuard
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors

PLUGINS = {
    "prompt_guard": PluginSchema("prompt_guard", PromptGuard.Config, PromptGuard.RouteOptions, frozenset({"request"}))
}
TEMPLATE = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {c: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{name: r, match: {path: /}, targets: [c]}]
plugins:
  prompt_guard: SETTINGS
"""
WRONG = [
    ("{deny_patterns: [a, '(']}", "deny_patterns[1]: wanted a pattern of RE2: missing ): ("),
    ("{deny_patterns: ['(?=a)']}", "deny_patterns[0]: wanted a pattern of RE2: invalid perl operator"),
    ("{allow_patterns: ['\\1']}", "allow_patterns[0]: wanted a pattern of RE2"),
    ("{deny_patterns: [b, 'a*']}", "deny_patterns[1]: it is found in every text"),
    ('{deny_texts: ["\\u200b "]}', "deny_texts[0]: got a text of which nothing is seen"),
    ("{deny_texts: ['']}", "deny_texts[0]"),
    ("{models: [a*b]}", 'models[0]: got "a*b"'),
    ("{max_bytes: 1GiB}", "max_bytes"),
    ("{on_unknown: allow}", "on_unknown"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_wrong_settings_are_told_with_their_place(settings: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        check(TEMPLATE.replace("SETTINGS", settings), PLUGINS, {})
    problems = [str(problem) for problem in caught.value.problems]
    assert any(message in problem and problem.startswith("<text>:5:") for problem in problems), problems


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("headgate.plugins.prompt_guard") or name == "re2"]:
        monkeypatch.delitem(sys.modules, name)
    blocked: Any = None
    monkeypatch.setitem(sys.modules, "re2", blocked)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'headgate\[guard\]'"):
        import_module("headgate.plugins.prompt_guard")
