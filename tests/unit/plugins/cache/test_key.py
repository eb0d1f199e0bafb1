"""What two requests must share to share an answer."""

from __future__ import annotations

import pytest

from headgate.plugins.cache.key import Uri, key_of, related_uris, uri_of
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.verdicts import Target

from ....virtual_clock import run
from .stand import Ask, exchange_for

BASE = Uri("https", "origin.test", "/dir/a?x")


def uri(ask: Ask) -> Uri:
    async def main() -> Uri:
        return uri_of(exchange_for(ask).request)

    return run(main())


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (Ask(), Uri("https", "origin.test", "/a")),
        (Ask(host="ORIGIN.test:443"), Uri("https", "origin.test", "/a")),
        (Ask(host="origin.test:80"), Uri("https", "origin.test:80", "/a")),
        (Ask(host="origin.test:80", scheme="http"), Uri("http", "origin.test", "/a")),
        (Ask(host="[::1]:8443"), Uri("https", "[::1]:8443", "/a")),
        (Ask(target="http://origin.test/p?q=//x/"), Uri("https", "origin.test", "/p?q=//x/")),
        (Ask(target="http://origin.test"), Uri("https", "origin.test", "/")),
        (Ask(target="http://origin.test?q=/x"), Uri("https", "origin.test", "/?q=/x")),
        (Ask(target="//a//b/../%2F"), Uri("https", "origin.test", "//a//b/../%2F")),
    ],
)
def test_uri_keeps_the_raw_target(ask: Ask, expected: Uri) -> None:
    assert uri(ask) == expected


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("/b", "/b"),
        ("b", "/dir/b"),
        ("../b?y#z", "/b?y"),
        ("?z", "/dir/a?z"),
        ("", "/dir/a?x"),
        ("https://origin.test", "/"),
        ("HTTPS://Origin.Test:443/b", "/b"),
        ("//origin.test/b", "/b"),
        ("//evil.test/b", None),
        ("http://origin.test/b", None),
        ("https://origin.test:8443/b", None),
        ("https://user@origin.test/b", None),
        ("https://[bad/b", None),
        ("mailto:a@origin.test", None),
    ],
)
def test_related_uris_have_the_same_origin(reference: str, target: str | None) -> None:
    for name in ("Location", "Content-Location"):
        found = list(related_uris(BASE, Fields([(name.encode(), reference.encode())])))
        assert found == ([Uri("https", "origin.test", target)] if target is not None else [])


def test_key_tells_apart_what_may_be_answered_differently() -> None:
    other_groups = ((Target("canary"),),)
    asks = [
        Ask(),
        Ask(target="/b"),
        Ask(host="b.test"),
        Ask(scheme="http"),
        Ask(tenant="t"),
        Ask(tenant="u"),
        Ask(tenant=""),
        Ask(route="other"),
        Ask(groups=other_groups),
    ]

    async def keys(is_shared: bool) -> int:
        return len({key_of(exchange_for(ask), is_shared=is_shared) for ask in asks})

    assert run(keys(False)) == len(asks)
    assert run(keys(True)) == len(asks) - 3
