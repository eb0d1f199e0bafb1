"""Routes as plain data: what one matches, checked, ordered and grouped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from ._path import PARAM, REST, Pattern, PatternError, parse_pattern

HeaderKind = Literal["present", "absent", "exact", "prefix"]
ANY_HOST = ""
MAX_HOST_CHARACTERS = 253  # RFC 1035 §2.3.4, without the root's dot


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A condition on one request field; `name` in lower case, `value` for `exact` and `prefix` only."""

    name: str
    kind: HeaderKind
    value: str = ""


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """What one route matches. `hosts` and `methods` left empty mean any; a higher `priority` is asked first."""

    name: str
    path: str
    hosts: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    headers: tuple[HeaderMatch, ...] = ()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """The route found: its name, its position in the list given, and its parameters as sent (still encoded)."""

    name: str
    index: int
    params: dict[str, str]


class RouteTableError(ValueError):
    """A route that cannot be matched as it is written.

    `route` and `index` say which, `field` where in it (`path`, `hosts[1]`, `headers[0].name`), `column` the character
    of that field's text, from 1 (None where the whole field is meant), `problem` what was expected.
    """

    def __init__(self, index: int, route: str, field: str, problem: str, column: int | None = None) -> None:
        where = field if column is None else f"{field}, column {column}"
        super().__init__(f'routes[{index}] "{route}": {where}: {problem}')
        self.index = index
        self.route = route
        self.field = field
        self.problem = problem
        self.column = column


class Route(NamedTuple):
    """A checked route, as the look-up reads it; `place` is its index in the list."""

    place: int
    name: str
    methods: frozenset[str]
    headers: tuple[HeaderMatch, ...]
    params: tuple[tuple[str, int], ...]
    rest: tuple[str, int] | None


class Node(NamedTuple):
    """One step of a path: the ways on, and the routes that end here or take the rest, best first."""

    literals: dict[str, Node]
    param: Node | None
    rest: tuple[Route, ...]
    here: tuple[Route, ...]


class Trees(NamedTuple):
    """One tree a host: `exact` by name, `suffixes` by what follows the `*` of a wildcard (`.example.com`)."""

    exact: dict[str, Node]
    suffixes: dict[str, Node]
    any_host: Node
    num_segments: int  # of the longest pattern


def build_trees(specs: Sequence[RouteSpec]) -> Trees:
    """Check and compile `specs`. Raises: RouteTableError for the first bad one."""
    by_host: dict[str, list[tuple[tuple[str, ...], Route]]] = {ANY_HOST: []}
    num_segments = 1
    for index, spec, pattern, hosts in _parse_all(specs):
        route = Route(index, spec.name, frozenset(spec.methods), tuple(spec.headers), pattern.params, pattern.rest)
        num_segments = max(num_segments, len(pattern.shape))
        for host in hosts:
            by_host.setdefault(host, []).append((pattern.shape, route))
    trees = {host: _build_node(routes, 0) for host, routes in by_host.items()}
    any_host = trees.pop(ANY_HOST)
    suffixes = {host[1:]: trees.pop(host) for host in list(trees) if host.startswith("*")}
    return Trees(trees, suffixes, any_host, num_segments)


def find_shadowed(specs: Sequence[RouteSpec]) -> list[tuple[int, int]]:
    """Return (unreachable, winner) for each route whose every request is won by one other route.

    A winner asks for the same hosts and the same shape of path (any other is either less specific or does not match
    all), comes first in order, and asks for no more of method and fields. A route that only several others together
    cover is not reported.
    Cost: O(n²) in the number of routes of one shape.
    """
    groups: dict[tuple[str, ...], list[tuple[int, RouteSpec, frozenset[str]]]] = {}
    for index, spec, pattern, hosts in _parse_all(specs):
        groups.setdefault(pattern.shape, []).append((index, spec, hosts))
    pairs: list[tuple[int, int]] = []
    for group in groups.values():
        for place, (index, spec, hosts) in enumerate(group):
            earlier = group[:place]
            winners = [i for i, other, theirs in earlier if hosts <= theirs and _asks_no_more(other, spec)]
            pairs.extend((index, winner) for winner in winners[:1])
    return sorted(pairs)


def host_key(host: str) -> str:
    """Return the name to compare: `host` without port and root dot, in lower case.

    A host outside ASCII is left as it is: folding its case could make it equal to a name it is not.
    """
    name, _, port = host.rpartition(":")
    if name and port.isascii() and (port.isdigit() or not port):
        host = name
    host = host.removesuffix(".")
    return host.lower() if host.isascii() else host


_HOST = re.compile(r"\[[0-9a-f:.]+\]|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_Parsed = tuple[int, RouteSpec, Pattern, frozenset[str]]


def _parse_all(specs: Sequence[RouteSpec]) -> list[_Parsed]:
    """Check every route and put them in the order in which routes of equal host and path are asked."""
    parsed = [(index, spec, *_parse(index, spec)) for index, spec in enumerate(specs)]
    return sorted(parsed, key=lambda item: (-item[1].priority, -_num_predicates(item[1]), item[0]))


def _num_predicates(spec: RouteSpec) -> int:
    return len(spec.headers) + bool(spec.methods)


def _parse(index: int, spec: RouteSpec) -> tuple[Pattern, frozenset[str]]:
    field = "path"
    try:
        pattern = parse_pattern(spec.path)
        hosts = []
        for place, host in enumerate(spec.hosts):
            field = f"hosts[{place}]"
            hosts.append(_parse_host(host))
    except PatternError as error:
        raise RouteTableError(index, spec.name, field, error.problem, error.column) from None
    _check_predicates(index, spec)
    return pattern, frozenset(hosts or [ANY_HOST])


def _parse_host(text: str) -> str:
    host = text.lower() if text.isascii() else text
    found = _HOST.match(host)
    end = found.end() if found else 0
    if end < len(host) or not host:
        raise PatternError(end + 1, f'expected a host as "api.example.com" or "*.example.com", no port, got "{text}"')
    if len(host) > MAX_HOST_CHARACTERS:
        raise PatternError(MAX_HOST_CHARACTERS + 1, f"expected at most {MAX_HOST_CHARACTERS} characters")
    return host


def _check_predicates(index: int, spec: RouteSpec) -> None:
    for method in sorted(spec.methods):
        if not _TOKEN.fullmatch(method):
            raise RouteTableError(index, spec.name, "methods", f"expected method names, got {method!r}")
    for place, header in enumerate(spec.headers):
        field = f"headers[{place}]"
        if not _TOKEN.fullmatch(header.name) or header.name != header.name.lower():
            problem = f"expected a field name in lower case, got {header.name!r}"
            raise RouteTableError(index, spec.name, f"{field}.name", problem)
        if header.kind not in get_args(HeaderKind):
            problem = f"expected one of {', '.join(get_args(HeaderKind))}, got {header.kind!r}"
            raise RouteTableError(index, spec.name, f"{field}.kind", problem)
        if header.kind == "prefix" and not header.value:
            problem = "expected a prefix that is not empty; write kind present for any value"
            raise RouteTableError(index, spec.name, f"{field}.value", problem)
        if header.kind in ("present", "absent") and header.value:
            problem = f"expected no value for kind {header.kind}, got {header.value!r}"
            raise RouteTableError(index, spec.name, f"{field}.value", problem)


def _build_node(routes: Iterable[tuple[tuple[str, ...], Route]], depth: int) -> Node:
    """Build the tree of `routes`, all alike in their first `depth` segments; their order stays."""
    here: list[Route] = []
    ways: dict[str, list[tuple[tuple[str, ...], Route]]] = {}
    for shape, route in routes:
        if depth == len(shape):
            here.append(route)
        else:
            ways.setdefault(shape[depth], []).append((shape, route))
    rest = tuple(route for _, route in ways.pop(REST, ()))
    param = _build_node(ways.pop(PARAM), depth + 1) if PARAM in ways else None
    literals = {literal: _build_node(group, depth + 1) for literal, group in ways.items()}
    return Node(literals, param, rest, tuple(here))


def _asks_no_more(winner: RouteSpec, loser: RouteSpec) -> bool:
    """Whether each request that meets the conditions of `loser` meets those of `winner`."""
    if winner.methods and not (loser.methods and loser.methods <= winner.methods):
        return False
    return all(any(_implies(known, wanted) for known in loser.headers) for wanted in winner.headers)


def _implies(known: HeaderMatch, wanted: HeaderMatch) -> bool:
    if known.name != wanted.name:
        return False
    if wanted.kind == "present":
        return known.kind != "absent"
    if wanted.kind == "prefix":
        return known.kind in ("exact", "prefix") and known.value.startswith(wanted.value)
    return known == wanted
