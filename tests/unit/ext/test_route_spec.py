"""What is refused in a route, and which routes no request can reach."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.ext.route_table import HeaderMatch, RouteSpec, RouteTable, RouteTableError

DEEP = "/" + "/".join("a" * 64)
GOLD = HeaderMatch("x-tier", "exact", "gold")
GET = frozenset({"GET"})


def route(path: str, name: str = "", **rest: Any) -> RouteSpec:
    return RouteSpec(name=name or path, path=path, **rest)


@pytest.mark.parametrize(
    ("specs", "pairs"),
    [
        ([route("/a"), route("/b")], []),
        ([route("/a"), route("/a")], [(1, 0)]),
        ([route("/{x}/b"), route("/{y}/b")], [(1, 0)]),
        ([route("/~a"), route("/%7Ea")], [(1, 0)]),
        ([route("/{*x}"), route("/{y}"), route("/z")], []),
        ([route("/a"), route("/a", methods=GET)], []),
        ([route("/a", priority=1), route("/a", methods=GET)], [(1, 0)]),
        ([route("/a", methods=GET), route("/a", priority=1)], [(0, 1)]),
        ([route("/a", methods=GET, priority=1), route("/a", methods=frozenset({"GET", "PUT"}))], []),
        ([route("/a", methods=frozenset({"GET", "PUT"}), priority=1), route("/a", methods=GET)], [(1, 0)]),
        ([route("/a", methods=GET, priority=1), route("/a")], []),
        ([route("/a", methods=GET), route("/a", methods=GET)], [(1, 0)]),
        ([route("/a", hosts=("x",)), route("/a")], []),
        ([route("/a"), route("/a", hosts=("x",))], []),
        ([route("/a", hosts=("x", "Y")), route("/a", hosts=("y",))], [(1, 0)]),
        ([route("/a", hosts=("x",)), route("/a", hosts=("x", "y"))], []),
        ([route("/a", hosts=("*.x",)), route("/a", hosts=("y.x",))], []),
        ([route("/a"), route("/a"), route("/a")], [(1, 0), (2, 0)]),
    ],
)
def test_shadowed_names_the_route_no_request_can_reach(
    table_type: type[RouteTable], specs: list[RouteSpec], pairs: list[tuple[int, int]]
) -> None:
    assert table_type(specs).shadowed() == pairs


@pytest.mark.parametrize(
    ("wanted", "known", "is_shadowed"),
    [
        (HeaderMatch("a", "present"), HeaderMatch("a", "exact", "1"), True),
        (HeaderMatch("a", "present"), HeaderMatch("a", "prefix", "1"), True),
        (HeaderMatch("a", "present"), HeaderMatch("a", "absent"), False),
        (HeaderMatch("a", "absent"), HeaderMatch("a", "absent"), True),
        (HeaderMatch("a", "prefix", "x"), HeaderMatch("a", "exact", "xy"), True),
        (HeaderMatch("a", "prefix", "x"), HeaderMatch("a", "prefix", "xy"), True),
        (HeaderMatch("a", "prefix", "xy"), HeaderMatch("a", "prefix", "x"), False),
        (HeaderMatch("a", "prefix", "x"), HeaderMatch("a", "present"), False),
        (HeaderMatch("a", "exact", "1"), HeaderMatch("a", "exact", "1"), True),
        (HeaderMatch("a", "exact", "1"), HeaderMatch("a", "exact", "2"), False),
        (HeaderMatch("a", "exact", "1"), HeaderMatch("b", "exact", "1"), False),
        (HeaderMatch("a", "present"), HeaderMatch("b", "exact", "1"), False),
        (HeaderMatch("a", "prefix", "1"), HeaderMatch("b", "prefix", "1"), False),
        (HeaderMatch("a", "exact", "1"), HeaderMatch("a", "prefix", "1"), False),
    ],
)
def test_shadowed_knows_which_header_condition_follows_from_which(
    table_type: type[RouteTable], wanted: HeaderMatch, known: HeaderMatch, is_shadowed: bool
) -> None:
    table = table_type([route("/", headers=(wanted,), priority=1), route("/", headers=(known,))])
    assert table.shadowed() == ([(1, 0)] if is_shadowed else [])


@pytest.mark.parametrize(
    ("path", "column", "problem"),
    [
        ("", 1, 'expected "/" at the start'),
        ("v1/models", 1, 'expected "/" at the start'),
        ("//a", 2, "between two slashes"),
        ("/a//b", 4, "between two slashes"),
        ("/a/./b", 4, "no dot segment"),
        ("/a/..", 4, "no dot segment"),
        ("/%2e%2e/a", 2, "no dot segment"),
        ("/a/b%2Fc", 4, "no dot segment, %2F"),
        ("/a/b%00", 4, "%00"),
        ("/a/b%4", 5, 'two hex digits after "%"'),
        ("/a b", 3, "got ' ': write it percent-encoded"),
        ("/caf\xe9", 5, "write it percent-encoded"),
        ("/a?b=c", 3, "got '?'"),
        ("/a/b\\c", 5, "write it percent-encoded"),
        ("/files/{id", 8, "a whole segment"),
        ("/files/id}", 10, "a whole segment"),
        ("/files/{}", 8, "a name of letters"),
        ("/files/{*}", 8, "a name of letters"),
        ("/files/{1st}", 8, "a name of letters"),
        ("/files/{a-b}", 8, "a name of letters"),
        ("/files/x{id}", 9, "a whole segment"),
        ("/files/{id}.json", 8, "a whole segment"),
        ("/files/{a}{b}", 8, "a whole segment"),
        ("/{a}/{b}/{a}", 10, '"a" is taken by segment 1'),
        ("/{a}/{*a}", 6, '"a" is taken by segment 1'),
        ("/a/{*rest}/b", 4, 'expected "{*rest}" to be the last segment'),
        ("/a/{*rest}/", 4, "to be the last segment"),
        (f"{DEEP}/a", 1, "at most 64 segments, found 65"),
    ],
)
def test_a_bad_path_pattern_is_refused_with_route_and_column(
    table_type: type[RouteTable], path: str, column: int, problem: str
) -> None:
    with pytest.raises(RouteTableError) as caught:
        table_type([route("/fine"), route(path, "the-bad-one")])
    error = caught.value
    assert (error.index, error.route, error.field, error.column) == (1, "the-bad-one", "path", column)
    assert problem in error.problem
    assert str(error) == f'routes[1] "the-bad-one": path, column {column}: {error.problem}'


@pytest.mark.parametrize(
    ("host", "column"),
    [
        ("", 1),
        ("*", 1),
        ("*.", 1),
        ("a.*.com", 2),
        ("*a.com", 1),
        ("a.com:80", 6),
        ("http://a.com", 5),
        ("a.com.", 6),
        ("a..com", 2),
        ("a b", 2),
        ("b\xfccher.de", 2),
        ("\u212aelvin.org", 1),
        ("[::1]:80", 6),
        ("a" * 254, 254),
    ],
)
def test_a_bad_host_is_refused_with_route_and_column(table_type: type[RouteTable], host: str, column: int) -> None:
    with pytest.raises(RouteTableError) as caught:
        table_type([route("/", "bad", hosts=("good.com", host))])
    assert (caught.value.route, caught.value.field, caught.value.column) == ("bad", "hosts[1]", column)


@pytest.mark.parametrize(
    ("spec", "field", "problem"),
    [
        (route("/", methods=frozenset({"GE T"})), "methods", "got 'GE T'"),
        (route("/", methods=frozenset({""})), "methods", "expected method names"),
        (route("/", headers=(HeaderMatch("X-A", "present"),)), "headers[0].name", "lower case, got 'X-A'"),
        (route("/", headers=(GOLD, HeaderMatch("", "present"))), "headers[1].name", "got ''"),
        (route("/", headers=(HeaderMatch("a:", "present"),)), "headers[0].name", "got 'a:'"),
        (route("/", headers=(HeaderMatch("a", "prefix"),)), "headers[0].value", "write kind present"),
        (route("/", headers=(HeaderMatch("a", "absent", "1"),)), "headers[0].value", "no value for kind absent"),
        (route("/", headers=(HeaderMatch("a", "like", "1"),)), "headers[0].kind", "got 'like'"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_condition_is_refused_with_route_and_field(
    table_type: type[RouteTable], spec: RouteSpec, field: str, problem: str
) -> None:
    with pytest.raises(RouteTableError) as caught:
        table_type([spec])
    assert (caught.value.index, caught.value.field, caught.value.column) == (0, field, None)
    assert problem in caught.value.problem and isinstance(caught.value, ValueError)
