"""Which fields an answer varies on, and when two requests mean the same in them."""

from __future__ import annotations

import pytest

from headgate.plugins.cache.vary import MAX_NAMES, Selector, vary_names
from headgate.proxy.exchange.fields import Fields

ALL = ("accept", "accept-encoding", "accept-language")


def meaning(name: str, *lines: str) -> str | None:
    return Selector(Fields([(name.encode(), line.encode()) for line in lines]), ALL).of([name])[0][1]


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], ()),
        (["b, A"], ("a", "b")),
        (["a", "A,b"], ("a", "b")),
        ([" , "], ()),
        (["*"], None),
        (["a,*"], None),
        (["Host, X-Forwarded-Proto, a"], ("a",)),
        (["X-Forwarded-For"], None),
        (["Traceparent"], None),
        (["X-Headgate-Deadline-Ms"], None),
        ([",".join(f"n{n}" for n in range(MAX_NAMES))], tuple(sorted(f"n{n}" for n in range(MAX_NAMES)))),
        ([",".join(f"n{n}" for n in range(MAX_NAMES + 1))], None),
    ],
)
def test_names_are_read_from_all_lines(lines: list[str], names: tuple[str, ...] | None) -> None:
    assert vary_names(lines) == names


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("accept-encoding", "gzip, br", "br,gzip"),
        ("accept-encoding", "GZIP;q=1.000", "x-gzip"),
        ("accept-encoding", "gzip;q=0.50", "gzip; q=0.5"),
        ("accept-encoding", "gzip,,gzip", "gzip"),
        ("accept-language", "EN , de ;q=0.5", "en,de;q=0.5"),
        ("accept", "text/html , a/b ; q=1", "text/html,a/b;q=1"),
    ],
)
def test_spelling_does_not_count(name: str, one: str, other: str) -> None:
    assert meaning(name, one) == meaning(name, other)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("accept-encoding", "gzip", "gzip;q=0"),
        ("accept-encoding", "gzip;q=0.5", "gzip;q=0.51"),
        ("accept-encoding", "gzip;x=1", "gzip;x=2"),
        ("accept-encoding", "gzip;q=2", "gzip"),
        ("accept-encoding", "", "identity"),
        ("accept-language", "de,en", "en,de"),
        ("accept", 'a/b;x="p,q"', 'a/b;x="p, q"'),
        ("accept", "a/b", "a/c"),
        ("user-agent", "a, b", "a,b"),
    ],
)
def test_meaning_counts(name: str, one: str, other: str) -> None:
    assert meaning(name, one) != meaning(name, other)


def test_absent_and_empty_differ() -> None:
    assert meaning("accept-encoding") is None
    assert meaning("accept-encoding", "") == ""


def test_long_values_are_compared_too() -> None:
    assert meaning("accept", "a/b , " * 100 + "c/d") == meaning("accept", "a/b," * 100 + "c/d")


def test_kept_selector_does_not_follow_the_request() -> None:
    fields = Fields([(b"a", b"1")])
    selector = Selector(fields, ())
    selector.keep()
    fields.set("a", "2")
    assert selector.selects((("a", "1"),))
