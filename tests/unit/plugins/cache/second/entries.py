"""Entries of any kind."""

from __future__ import annotations

from hypothesis import strategies as st

from headgate.plugins.cache.entry import Entry, Staleness
from headgate.plugins.cache.key import Key, Uri
from headgate.plugins.cache.second.value import Seen
from headgate.proxy.verdicts import Target

_latin = st.text(st.characters(max_codepoint=255), max_size=20)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_seconds = st.floats(0, 1e9)

targets = st.builds(
    Target,
    _text,
    st.none() | _text,
    st.integers(1, 100),
    st.none() | st.integers(1, 1 << 20),
    st.none() | st.sampled_from(["plain", "prefix"]),
)
keys = st.builds(
    Key,
    st.builds(Uri, st.sampled_from(["http", "https"]), _text, _text),
    _text,
    st.none() | _text,
    st.lists(st.lists(targets, max_size=2).map(tuple), max_size=2).map(tuple),
)
entries = st.builds(
    Entry,
    keys,
    st.lists(st.tuples(_text, st.none() | _latin), max_size=3).map(tuple),
    st.integers(200, 599),
    st.lists(st.tuples(_latin, _latin), max_size=4).map(
        lambda pairs: tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)
    ),
    st.binary(max_size=200),
    _seconds,
    _seconds,
    st.floats(-1, 1e9),
    st.builds(Staleness, _seconds, _seconds, _seconds, st.booleans()),
)
_generations = st.text("0123456789abcdef", min_size=1, max_size=32).map(str.encode)
generations = st.builds(Seen, _generations, _generations, st.integers(0, 1 << 40))

KEY = Key(Uri("https", "origin.test", "/a"), "main", None, ())
SEEN = Seen(b"all", b"one", 7)


def entry(key: Key = KEY, body: bytes = b"hello", vary: tuple[tuple[str, str | None], ...] = ()) -> Entry:
    """Return an answer that is fresh for a minute and kept for an hour more."""
    return Entry(key, vary, 200, ((b"X-Own", b"1"),), body, 0.0, 1.0, 60.0, Staleness(3600.0))
