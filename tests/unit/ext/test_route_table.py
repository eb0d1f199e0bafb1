"""The route table by example: precedence, hosts, conditions, methods, bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from multidict import CIMultiDict

from headgate.ext.route_table import HeaderMatch, Match, RouteSpec, RouteTable

DEEP = "/" + "/".join("a" * 64)
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


def test_the_longest_host_name_is_matched(table_type: type[RouteTable]) -> None:
    name = "a." * 126 + "b"
    assert found(table_type([route("/", hosts=(name,))]), "/", name) == "/"


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
