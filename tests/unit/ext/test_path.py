"""The normal form of paths, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Normalize = Callable[[str], str | None]


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("/", "/"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/files/", "/files/"),
        ("/A/a", "/A/a"),
        ("/%7Euser/%61%2d%2E%5f", "/~user/a-._"),
        ("/a%2bb%c3%a9", "/a%2Bb%C3%A9"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a..b/.c./d..", "/a..b/.c./d.."),
        ("/a;v=1/b,c:d@e=!$&'()*+", "/a;v=1/b,c:d@e=!$&'()*+"),
        ('/[id]|"<{}>^`', '/[id]|"<{}>^`'),
        ("/a%3B..", "/a%3B.."),
    ],
)
def test_normalize_path_brings_equivalent_paths_to_one_form(normalize_path: Normalize, raw: str, normal: str) -> None:
    assert normalize_path(raw) == normal


@pytest.mark.parametrize(
    "raw",
    [
        *("", "*", "a/b", "http://host/a", "?", " /a", "%2Fa"),
        *("//", "/a//b", "//a", "/a//"),
        *("/.", "/..", "/./a", "/../a", "/a/.", "/a/..", "/a/../b", "/a/./"),
        *("/%2e", "/%2E%2e/a", "/.%2e/a", "/a/%2e./b", "/a/%2E"),
        *("/..;/a", "/a/..;x=1", "/.;/a", "/%2e%2e;a/b", "/..%3b/a", "/.%3B"),
        *("/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/a%00", "/%00"),
        *("/a\\b", "/a b", "/a\tb", "/a\r\nb", "/a\n", "/a\x00", "/a\x7f", "/a?b", "/a#b"),
        *("/%", "/%4", "/%zz", "/a%4g", "/%%41", "/a%"),
        *("/caf\xe9", "/\u65e5", "/\udce9", "/%\uff14\uff11"),
    ],
)
def test_normalize_path_refuses_what_two_readers_could_read_in_two_ways(normalize_path: Normalize, raw: str) -> None:
    assert normalize_path(raw) is None


def test_normalize_path_gives_a_normal_path_back_as_the_same_object(normalize_path: Normalize) -> None:
    path = "".join(["/v1", "/models"])
    assert normalize_path(path) is path


def test_normalize_path_ends_soon_on_a_long_path(normalize_path: Normalize) -> None:
    path = "/" + "%41%2b" * 50_000
    assert normalize_path(path) == "/" + "A%2B" * 50_000
    assert normalize_path(path + "%") is None
