"""A cache that another one leaves nothing to: the route that turns it on is warned about."""

from __future__ import annotations

import pytest

from headgate.plugins.cache import Cache
from headgate.plugins.completion_cache import CompletionCache
from headgate.proxy.config.plugin_schema import PluginSchema

from .warned import CHAT, warnings_of

STAGES = frozenset({"cache", "response_head"})
SCHEMAS = {
    "cache": PluginSchema("cache", Cache.Config, Cache.RouteOptions, STAGES),
    "completion_cache": PluginSchema("completion_cache", CompletionCache.Config, CompletionCache.RouteOptions, STAGES),
}
PLUGINS = "plugins: {cache: {}, completion_cache: {}, own: {use: cache}, chats: {use: completion_cache}}\n"
# Each of them is in use on some route.
PLUGINS += "stages: {cache: [chats, completion_cache, own, cache]}"


def warned(order: str, options: str) -> list[str]:
    route = f"{CHAT}targets: [a]\nstages: {{cache: [{order}]}}\nplugins: {{{options}}}"
    return [found.partition(": ")[2] for found in warnings_of(route, more=PLUGINS, plugins=SCHEMAS)]


@pytest.mark.parametrize(
    ("order", "name", "first"),
    [
        ("cache, completion_cache", "completion_cache", "cache"),
        ("own, chats", "chats", "own"),
        ("own, cache, chats", "chats", "own"),
    ],
)
def test_completions_that_the_http_cache_answers_for_first(order: str, name: str, first: str) -> None:
    assert warned(order, f"{name}: {{enabled: true}}") == [
        f"routes[0].plugins.{name}: `{first}` stands before it in the stage `cache` and answers for every POST, "
        f"wanted `{name}` before `{first}`"
    ]


@pytest.mark.parametrize(
    ("order", "options"),
    [
        ("completion_cache, cache", "completion_cache: {enabled: true}"),
        ("completion_cache", "completion_cache: {enabled: true}"),
        ("chats, completion_cache", "completion_cache: {enabled: true}"),
        ("cache, completion_cache", "completion_cache: {enabled: false}"),
        ("cache, completion_cache", "cache: {enabled: false}"),
    ],
)
def test_completions_that_come_first_or_are_not_kept_at_all(order: str, options: str) -> None:
    assert warned(order, options) == []


def test_the_order_of_all_routes_is_that_of_one_without_its_own() -> None:
    more = PLUGINS.replace("[chats, completion_cache, own, cache]", "[cache, completion_cache, own, chats]")
    route = f"{CHAT}targets: [a]\nplugins: {{chats: {{enabled: true}}}}"
    (found,) = warnings_of(route, more=more, plugins=SCHEMAS)
    assert found.startswith("10:22: routes[0].plugins.chats: `cache` stands before it")
