"""What may stand in the settings of `api_key`, and what is said to what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.plugins.api_key import ApiKey, digest
from headgate.plugins.api_key.plugin import ApiKeyConfig
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors

PLUGINS = {"api_key": PluginSchema("api_key", ApiKey.Config, ApiKey.RouteOptions, frozenset({"auth", "ratelimit"}))}
ENVIRONMENT = {"PEPPER": "0123456789abcdef", "SHORT": "123456789abcdef"}
DIGEST = digest("demo", "0123456789abcdef")
TEMPLATE = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {c: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{name: r, match: {path: /}, targets: [c], plugins: {api_key: ROUTE}}]
plugins:
  api_key: SETTINGS
"""


def load(settings: str, route: str = "{}") -> ApiKeyConfig:
    text = TEMPLATE.replace("SETTINGS", settings).replace("ROUTE", route)
    found = check(text, PLUGINS, ENVIRONMENT).config.plugins["api_key"].settings
    assert isinstance(found, ApiKeyConfig)
    return found


def test_settings_come_out_as_written() -> None:
    digests = (
        f'[{{digest: {DIGEST.upper()}, not_before: 2026-01-01T00:00:00Z, not_after: "2027-01-01T00:00:00+01:00"}}]'
    )
    config = load(
        f"{{pepper: env:PEPPER, inline: [{{id: demo, tenant: demo, digests: {digests}}}], headers: [X-Team-Key]}}",
        "{scopes: [a, b:c]}",
    )
    assert config.headers == ("x-team-key",)
    assert config.inline[0].digests[0].digest == DIGEST
    assert "0123456789abcdef" not in repr(config)
    assert isinstance(ApiKey(config), ApiKey)


def inline(more: str) -> str:
    return f"{{pepper: env:PEPPER, inline: [{{id: a, tenant: t, digests: [{{digest: {DIGEST}}}]}}, {more}]}}"


OTHER = "0" * 64
WRONG = [
    ("{pepper: env:PEPPER}", "plugins.api_key: got no keys, wanted `keys_file` or `inline`"),
    ("{inline: []}", "pepper: missing"),
    (inline("{}").replace("env:PEPPER", "env:SHORT"), "inline[1].id: missing"),
    (
        inline(f"{{id: b, tenant: t, digests: [{{digest: {OTHER}}}]}}").replace("env:PEPPER", "env:SHORT"),
        "pepper: the pepper is too short, wanted at least 16 bytes of it",
    ),
    (
        inline(f"{{id: b, tenant: t, digests: [{{digest: {OTHER}}}], max_priority: high}}"),
        'inline[1].max_priority: got "high", wanted one of `bulk`, `default`, `interactive`, `system`',
    ),
    (inline("{id: b, tenant: t, digests: []}"), "inline[1].digests: got an empty list, wanted at least one item"),
    (inline(f"{{id: a, tenant: t, digests: [{{digest: {OTHER}}}]}}"), "inline[1].id: the id `a` stands twice"),
    (
        inline(f"{{id: b, tenant: t, digests: [{{digest: {DIGEST}}}]}}"),
        "inline[1].digests[0].digest: this digest is also one of `a`",
    ),
    (inline("{id: b, tenant: t, digests: [{digest: hg_live_secret}]}"), "not shown, wanted the 64 hexadecimal digits"),
    (inline("{id: b c, tenant: t, digests: []}"), 'inline[1].id: got "b c", wanted an id'),
    (
        inline(f"{{id: b, tenant: t, digests: [{{digest: {OTHER}, not_after: 2026-01-01}}]}}"),
        'not_after: got "2026-01-01"',
    ),
    (
        inline(f"{{id: b, tenant: t, digests: [{{digest: {OTHER}, not_before: 2026-01-02T00:00:00}}]}}"),
        "wanted an instant with its offset from UTC such as `2026-01-31T00:00:00Z`",
    ),
    (
        inline(
            f"{{id: b, tenant: t, digests: [{{digest: {OTHER}, not_before: 2026-01-02T00:00:00Z, "
            "not_after: 2026-01-02T00:00:00Z}]}"
        ),
        "wanted an instant after `not_before`",
    ),
    (inline(f"{{id: b, tenant: t, max_parallel: 0, digests: [{{digest: {OTHER}}}]}}"), "inline[1].max_parallel: got 0"),
    (inline(f"{{id: b, tenant: t, models: [a*b], digests: [{{digest: {OTHER}}}]}}"), 'inline[1].models[0]: got "a*b"'),
    (
        inline(f"{{id: b, tenant: t, scopes: ['a b'], digests: [{{digest: {OTHER}}}]}}"),
        'inline[1].scopes[0]: got "a b"',
    ),
    (inline(f"{{id: b, tenant: t, disable: true, digests: [{{digest: {OTHER}}}]}}"), "did you mean `disabled`?"),
    (
        "{pepper: env:PEPPER, keys_file: /nowhere/keys.yaml}",
        'plugins.api_key.keys_file: the file "/nowhere/keys.yaml" cannot be read',
    ),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_wrong_settings_are_told_with_their_place(settings: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(settings)
    problems = [str(problem) for problem in caught.value.problems]
    assert any(message in problem and problem.startswith("<text>:5:") for problem in problems), problems
    assert not any("hg_live_secret" in problem or "123456789abcdef" in problem for problem in problems)


def test_wrong_scopes_of_a_route_are_told() -> None:
    with pytest.raises(ConfigErrors, match=r"3:.*scopes\[1\]: got \"b c\""):
        load(inline(f"{{id: b, tenant: t, digests: [{{digest: {OTHER}}}]}}"), "{scopes: [a, b c]}")


def test_a_keys_file_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("keys: []")
    text = TEMPLATE.replace("SETTINGS", "{pepper: env:PEPPER, keys_file: keys.yaml}").replace("ROUTE", "{}")
    (tmp_path / "headgate.yaml").write_text(text)
    settings = check(tmp_path / "headgate.yaml", PLUGINS, ENVIRONMENT).config.plugins["api_key"].settings
    assert isinstance(settings, ApiKeyConfig)
    assert settings.keys_file == tmp_path / "keys.yaml"
