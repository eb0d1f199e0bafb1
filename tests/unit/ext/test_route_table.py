"""The route table by example: precedence, hosts, conditions, errors, lint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from multidict import CIMultiDict

from headgate.ext.route_table import HeaderMatch, Match, RouteSpec, RouteTable, RouteTableError

GOLD = HeaderMatch("x-tier", "exact", "gold")
GET = frozenset({"GET"})
POST = frozenset({"POST"})


def route(path: str, name: str = "", **rest: Any) -> RouteSpec:
    return RouteSpec(name=name or path, path=path, **rest)


def found(
    table: RouteTable, path: str, host: str = "any", method: str = "GET", headers: Mapping[str, str] | None = None
) -> str | None:
    match = table.match(host, path, method, headers or {})
    return None if match is None else match.name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/models/", "/v1/{*rest}"),
        ("/v1/files/a", "/v1/files/{id}"),
        ("/v1/files/a/content", "/v1/{kind}/{id}/content"),
        ("/v1/files/", "/v1/files/"),
        ("/v1/files", "/v1/{*rest}"),
        ("/v1/x", "/v1/{*rest}"),
        ("/v1/", "/v1/{*rest}"),
        ("/v1", None),
        ("/V1/models", None),
        ("/", "/"),
        ("/other", None),
    ],
)
def test_match_prefers_literal_then_param_then_rest(
    table_type: type[RouteTable], path: str, expected: str | None
) -> None:
    patterns = ["/v1/{*rest}", "/v1/{kind}/{id}/content", "/v1/files/{id}", "/v1/files/", "/v1/models", "/"]
    assert found(table_type([route(pattern) for pattern in patterns]), path) == expected


def test_match_goes_back_to_a_less_specific_path_where_the_conditions_of_the_best_fail(
    table_type: type[RouteTable],
) -> None:
    table = table_type([route("/a/{*rest}"), route("/a/{id}", headers=(GOLD,)), route("/a/b", methods=POST)])
    assert found(table, "/a/b", method="POST") == "/a/b"
    assert found(table, "/a/b", headers={"x-tier": "gold"}) == "/a/{id}"
    assert found(table, "/a/b") == "/a/{*rest}"


def test_rest_at_the_root_matches_every_path(table_type: type[RouteTable]) -> None:
    table = table_type([route("/{*rest}")])
    for path, rest in {"/": "", "/a": "a", "/a/": "a/", "/a/b/c": "a/b/c", "/%41/b": "%41/b"}.items():
        assert table.match("", path, "GET", {}) == Match("/{*rest}", 0, {"rest": rest})


def test_params_are_as_sent_though_the_path_is_compared_in_its_normal_form(table_type: type[RouteTable]) -> None:
    table = table_type([route("/{org}/~me/{*rest}")])
    match = table.match("", "/%41b%2b/%7eme/x%7E/%c3%a9/", "GET", {})
    assert match == Match("/{org}/~me/{*rest}", 0, {"org": "%41b%2b", "rest": "x%7E/%c3%a9/"})
    assert match.params == {"org": "%41b%2b", "rest": "x%7E/%c3%a9/"}


def test_a_pattern_literal_may_be_written_encoded(table_type: type[RouteTable]) -> None:
    table = table_type([route("/%7euser/a%2bb")])
    assert found(table, "/~user/a%2Bb") == "/%7euser/a%2bb"
    assert found(table, "/~user/a+b") is None


def test_match_refuses_what_normalize_path_refuses(table_type: type[RouteTable]) -> None:
    table = table_type([route("/{*rest}", methods=GET)])
    for path in ("", "*", "//", "/a/../b", "/%2e%2e/b", "/a%2Fb", "/a\\b", "/caf\xe9", "/a?b", "/a/..;/b"):
        assert found(table, path) is None
        assert table.allowed_methods("any", path) == frozenset()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.example.com", "exact"),
        ("API.Example.COM", "exact"),
        ("api.example.com:8443", "exact"),
        ("api.example.com:", "exact"),
        ("api.example.com.", "exact"),
        ("api.example.com.:80", "exact"),
        ("x.example.com", "short"),
        ("x.api.example.com", "long"),
        ("x.y.api.EXAMPLE.com:1", "long"),
        ("example.com", "any"),
        (".example.com", "any"),
        ("notexample.com", "any"),
        ("api.example.com:x", "any"),
        ("api.example.com:80:80", "any"),
        ("api.example.com:\u0661", "any"),
        ("", "any"),
        (":80", "any"),
        ("[::1]", "v6"),
        ("[::1]:8080", "v6"),
        ("::1", "any"),
        ("api.example.com@other", "any"),
        ("\u212aelvin.org", "any"),
        ("kelvin.org", "kelvin"),
    ],
)
def test_match_prefers_exact_host_then_longest_suffix_then_any(
    table_type: type[RouteTable], host: str, expected: str
) -> None:
    hosts = {
        "any": (),
        "short": ("*.example.com",),
        "exact": ("Api.example.com",),
        "long": ("*.api.example.com",),
        "v6": ("[::1]",),
        "kelvin": ("kelvin.org",),
    }
    table = table_type([route("/{*rest}", name, hosts=names) for name, names in hosts.items()])
    assert found(table, "/x", host) == expected


def test_a_specific_host_wins_over_a_specific_path_and_the_next_host_is_tried(table_type: type[RouteTable]) -> None:
    table = table_type(
        [
            route("/a/b", "any"),
            route("/{*rest}", "wild", hosts=("*.example.com",), methods=GET),
            route("/a", "exact", hosts=("www.example.com", "example.com")),
        ]
    )
    assert found(table, "/a/b", "www.example.com") == "wild"
    assert found(table, "/a", "www.example.com") == "exact"
    assert found(table, "/a", "example.com") == "exact"
    assert found(table, "/a/b", "www.example.com", "POST") == "any"
    assert found(table, "/c", "www.example.com", "POST") is None


def test_a_host_longer_than_a_name_can_be_matches_no_wildcard(table_type: type[RouteTable]) -> None:
    table = table_type([route("/", "wild", hosts=("*.b",)), route("/", "any")])
    assert found(table, "/", "a." * 126 + "b") == "wild"
    assert found(table, "/", "a." * 127 + "b") == "any"
    assert found(table, "/", "." * 200_000) == "any"


def test_priority_then_number_of_conditions_then_order_decide_between_equal_paths(
    table_type: type[RouteTable],
) -> None:
    plain, late = route("/a", "plain"), route("/a", "late")
    methods = route("/a", "methods", methods=frozenset({"GET", "HEAD"}))
    two = route("/{any}", "never")
    both = route("/a", "both", methods=GET, headers=(GOLD,))
    high = route("/a", "high", priority=1, headers=(HeaderMatch("x-high", "present"),))
    table = table_type([two, plain, late, methods, both, high])
    gold = {"x-tier": "gold"}
    assert found(table, "/a", headers={**gold, "x-high": ""}) == "high"
    assert found(table, "/a", headers=gold) == "both"
    assert found(table, "/a") == "methods"
    assert found(table, "/a", method="POST") == "plain"
    assert found(table_type([plain, replace(late, priority=-1)]), "/a") == "plain"


@pytest.mark.parametrize(
    ("wanted", "accepted", "declined"),
    [
        (HeaderMatch("x-a", "present"), [{"x-a": ""}, {"x-a": "1"}], [{}, {"x-b": "1"}]),
        (HeaderMatch("x-a", "absent"), [{}, {"x-b": ""}], [{"x-a": ""}, {"x-a": "1"}]),
        (HeaderMatch("x-a", "exact", "One"), [{"x-a": "One"}], [{}, {"x-a": "one"}, {"x-a": "One "}]),
        (HeaderMatch("x-a", "exact", ""), [{"x-a": ""}], [{}, {"x-a": "1"}]),
        (HeaderMatch("x-a", "prefix", "On"), [{"x-a": "On"}, {"x-a": "One"}], [{}, {"x-a": "O"}, {"x-a": "on"}]),
    ],
)
def test_header_conditions(
    table_type: type[RouteTable],
    wanted: HeaderMatch,
    accepted: list[dict[str, str]],
    declined: list[dict[str, str]],
) -> None:
    table = table_type([route("/", headers=(wanted,))])
    assert [found(table, "/", headers=headers) for headers in accepted] == ["/"] * len(accepted)
    assert [found(table, "/", headers=headers) for headers in declined] == [None] * len(declined)


def test_headers_may_be_any_mapping_that_knows_lower_case_names(table_type: type[RouteTable]) -> None:
    table = table_type([route("/", headers=(GOLD,))])
    assert found(table, "/", headers=CIMultiDict({"X-Tier": "gold"})) == "/"


def test_an_error_of_the_headers_mapping_comes_through(table_type: type[RouteTable]) -> None:
    class Broken(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            raise RuntimeError(name)

    table = table_type([route("/", headers=(GOLD,))])
    with pytest.raises(RuntimeError, match="x-tier"):
        table.match("", "/", "GET", Broken())


def test_methods_are_compared_as_written_and_head_is_not_get(table_type: type[RouteTable]) -> None:
    table = table_type([route("/", methods=GET)])
    assert [found(table, "/", method=method) for method in ("GET", "get", "HEAD", "")] == ["/", None, None, None]


def test_allowed_methods_collects_all_hosts_and_paths_that_match(table_type: type[RouteTable]) -> None:
    table = table_type(
        [
            route("/a/{id}", methods=GET),
            route("/a/{*rest}", methods=POST, headers=(GOLD,)),
            route("/a/b", methods=frozenset({"PUT"}), hosts=("example.com",)),
            route("/a/{id}/c", methods=frozenset({"PATCH"})),
            route("/open"),
        ]
    )
    assert table.allowed_methods("example.com:80", "/a/b") == {"GET", "POST", "PUT"}
    assert table.allowed_methods("", "/a/%62") == {"GET", "POST"}
    assert table.allowed_methods("", "/a/b/d") == {"POST"}
    assert table.allowed_methods("", "/open") == frozenset()
    assert table.allowed_methods("", "/nothing") == frozenset()


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
        (HeaderMatch("a", "exact", "1"), HeaderMatch("a", "prefix", "1"), False),
    ],
)
def test_shadowed_knows_which_header_condition_follows_from_which(
    table_type: type[RouteTable], wanted: HeaderMatch, known: HeaderMatch, is_shadowed: bool
) -> None:
    table = table_type([route("/", headers=(wanted,), priority=1), route("/", headers=(known,))])
    assert table.shadowed() == ([(1, 0)] if is_shadowed else [])


DEEP = "/" + "/".join("a" * 64)


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


def test_the_deepest_pattern_is_found_and_nothing_deeper(table_type: type[RouteTable]) -> None:
    table = table_type([route(DEEP), route("/b/{*rest}")])
    assert found(table, DEEP) == DEEP
    assert found(table, f"{DEEP}/a") is None
    assert found(table, f"{DEEP}/") is None
    match = table.match("", "/b" + "/x" * 200_000, "GET", {})
    assert match is not None and match.params == {"rest": "x" + "/x" * 199_999}


def test_a_table_without_routes_matches_nothing(table_type: type[RouteTable]) -> None:
    table = table_type([])
    assert found(table, "/") is None
    assert (table.allowed_methods("", "/"), table.shadowed()) == (frozenset(), [])


def test_a_table_keeps_no_hold_on_the_list_it_was_made_of(table_type: type[RouteTable]) -> None:
    specs = [route("/a"), route("/a")]
    table = table_type(specs)
    specs.clear()
    assert found(table, "/a") == "/a"
    assert table.shadowed() == [(1, 0)]


def test_each_match_has_params_of_its_own_and_is_frozen(table_type: type[RouteTable]) -> None:
    table = table_type([route("/{id}")])
    first, second = table.match("", "/1", "GET", {}), table.match("", "/1", "GET", {})
    assert first is not None and second is not None and first == second
    first.params["id"] = "changed"
    assert second.params == {"id": "1"}
    with pytest.raises(FrozenInstanceError):
        first.name = "changed"  # type: ignore[misc]


def test_a_table_takes_no_new_attributes(table_type: type[RouteTable]) -> None:
    with pytest.raises(AttributeError):
        table_type([]).extra = 1  # type: ignore[attr-defined]
