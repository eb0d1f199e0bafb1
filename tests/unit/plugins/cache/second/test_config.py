"""Settings of the second level, right and wrong."""

from __future__ import annotations

import sys

import pytest

from headgate.plugins.cache import Cache
from headgate.plugins.cache.second.config import Address, SecondConfig
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors

PLUGINS = {"cache": PluginSchema("cache", Cache.Config, Cache.RouteOptions, frozenset({"cache"}))}
TEMPLATE = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {c: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{name: r, match: {path: /}, targets: [c]}]
plugins:
  cache: {second: SETTINGS}
stages: {cache: [cache]}
"""
HIDDEN = "a-password-nobody-sees"


def load(settings: str) -> SecondConfig:
    config = check(TEMPLATE.replace("SETTINGS", settings), PLUGINS, {"PASSWORD": HIDDEN}).config
    found = config.plugins["cache"].settings
    assert isinstance(found, Cache.Config) and found.second is not None
    return found.second


def test_defaults() -> None:
    second = load("{url: 'redis://cache.example'}")
    assert (second.prefix, second.timeout, second.max_entry, second.max_queued) == ("headgate", 0.05, 1 << 20, 16 << 20)
    assert (second.username, second.password, second.ca) == (None, None, None)
    assert Cache.Config().second is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache.example", ("cache.example", 6379, "", 0, False)),
        ("redis://cache.example:7000/3", ("cache.example", 7000, "", 3, False)),
        ("redis://[::1]:7000/", ("::1", 7000, "", 0, False)),
        ("rediss://cache.example", ("cache.example", 6379, "", 0, True)),
        ("unix:///run/redis.sock", ("", 0, "/run/redis.sock", 0, False)),
        ("unix:///run/redis.sock?db=2", ("", 0, "/run/redis.sock", 2, False)),
    ],
)
def test_addresses(url: str, expected: tuple[str, int, str, int, bool]) -> None:
    address = load(f"{{url: '{url}'}}").address
    assert (address.host, address.port, address.path, address.database, address.is_tls) == expected
    assert address == Address(url) and address != Address("redis://other.example")


def test_the_password_is_a_reference_and_never_shown() -> None:
    second = load("{url: 'redis://cache.example', username: gate, password: 'env:PASSWORD'}")
    assert second.password is not None and second.password.reveal() == HIDDEN
    assert HIDDEN not in repr(second)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("{}", "url"),
        ("{url: 7}", "wanted the address of a Redis"),
        ("{url: 'http://cache.example'}", "wanted the address of a Redis"),
        ("{url: 'redis://'}", "wanted the address of a Redis"),
        ("{url: 'redis://cache.example:x'}", "wanted the address of a Redis"),
        ("{url: 'redis://cache.example:70000'}", "wanted the address of a Redis"),
        ("{url: 'redis://cache.example/main'}", "wanted the address of a Redis"),
        ("{url: 'redis://cache.example/0?ssl=no'}", "wanted the address of a Redis"),
        ("{url: 'unix://'}", "wanted the address of a Redis"),
        ("{url: 'unix:///run/redis.sock?db=x'}", "wanted the address of a Redis"),
        (f"{{url: 'redis://:{HIDDEN}@cache.example'}}", "say it in username and password"),
        (f"{{url: 'redis://gate:{HIDDEN}@cache.example:x'}}", "wanted the address of a Redis"),
        (f"{{url: 'redis://cache.example', password: {HIDDEN}}}", "`env:NAME` or `file:PATH`"),
        ("{url: 'redis://cache.example', username: gate}", "wanted `password` beside it"),
        ("{url: 'redis://cache.example', timeout: 0s}", "above zero"),
        ("{url: 'redis://cache.example', timeout: 6s}", "5"),
        ("{url: 'redis://cache.example', prefix: 'a b'}", "prefix"),
        ("{url: 'redis://cache.example', max_entry: 100}", "1024"),
        ("{url: 'redis://cache.example', ca: /dev/null}", "ca"),
        ("{url: 'redis://cache.example', ttl: 3s}", "ttl"),
    ],
)
def test_what_is_wrong_is_refused_without_showing_a_secret(settings: str, complaint: str) -> None:
    with pytest.raises(ConfigErrors) as refused:
        load(settings)
    assert complaint in str(refused.value)
    assert HIDDEN not in str(refused.value)


def test_certificates_are_for_tls_only() -> None:
    with pytest.raises(ConfigErrors, match="rediss"):
        load(f"{{url: 'redis://cache.example', ca: '{__file__}'}}")
    assert load(f"{{url: 'rediss://cache.example', ca: '{__file__}'}}").ca is not None


def test_without_redis_py_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigErrors, match=r"pip install 'headgate\[redis\]'"):
        load("{url: 'redis://cache.example'}")


def test_every_setting_is_described() -> None:
    assert all(field.description for field in SecondConfig.model_fields.values())
