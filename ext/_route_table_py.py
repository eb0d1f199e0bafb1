"""The route table in pure Python: the specification of the compiled one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ._path import normalize_path
from ._route_spec import (
    MAX_HOST_CHARACTERS,
    HeaderMatch,
    Match,
    Node,
    Route,
    RouteSpec,
    build_trees,
    find_shadowed,
    host_key,
)


class RouteTable:
    """Finds the route of a request. Immutable.

    Precedence: host (exact, then the longest wildcard suffix, then any), then path segment by segment (literal, then
    {param}, then {*rest}), then higher priority, then more predicates (methods count as one), then the earlier in the
    list. Where the routes of a more specific host or path do not match the whole request, the less specific are tried.
    """

    __slots__ = ("_specs", "_trees")

    def __init__(self, specs: Sequence[RouteSpec]) -> None:
        """Compile `specs`. Raises: RouteTableError for the first route that is badly written."""
        self._specs = tuple(specs)
        self._trees = build_trees(self._specs)

    def match(self, host: str, path: str, method: str, headers: Mapping[str, str]) -> Match | None:
        """Find the route of a request.

        `host` as in the Host field, with or without port; `path` raw and without query; `headers` is asked by
        lower-case names. None where no route matches, and where `normalize_path` refuses the path: ask it
        to tell 404 from 400.
        Cost: O(path length) plus one step per node of the tree that agrees with the path, whatever the request.
        """
        normal = normalize_path(path)
        if normal is None:
            return None
        for route in self._candidates(host, self._split(normal)):
            if _accepts(route, method, headers):
                return Match(route.name, route.place, _params(route, self._split(path)))
        return None

    def allowed_methods(self, host: str, path: str) -> frozenset[str]:
        """Collect the methods of all routes that match by host and path, whatever fields they ask for.

        Routes for any method add nothing. A request that has no match gets 405 if this holds methods and not its own.
        """
        normal = normalize_path(path)
        if normal is None:
            return frozenset()
        return frozenset().union(*(route.methods for route in self._candidates(host, self._split(normal))))

    def shadowed(self) -> list[tuple[int, int]]:
        """List (unreachable route, the route that wins all its requests) by position, sorted.

        Cost: O(n²) in the number of routes with one path; made for a check of the config.
        """
        return find_shadowed(self._specs)

    def _split(self, path: str) -> list[str]:
        # What is longer than every pattern stays in one piece, so that a look-up is bounded by the table.
        return path.split("/", self._trees.num_segments + 1)

    def _candidates(self, host: str, segments: list[str]) -> Iterator[Route]:
        """Yield the routes that match by host and path, in order of precedence."""
        for tree in self._trees_of(host):
            yield from _walk(tree, segments, 1)

    def _trees_of(self, host: str) -> Iterator[Node]:
        exact, suffixes, any_host, _ = self._trees
        name = host_key(host)
        if name in exact:
            yield exact[name]
        if suffixes and len(name) <= MAX_HOST_CHARACTERS:
            dot = name.find(".", 1)
            while dot > 0:
                if name[dot:] in suffixes:
                    yield suffixes[name[dot:]]
                dot = name.find(".", dot + 1)
        yield any_host


def _walk(node: Node, segments: list[str], position: int) -> Iterator[Route]:
    if position == len(segments):
        yield from node.here
        return
    segment = segments[position]
    if segment in node.literals:
        yield from _walk(node.literals[segment], segments, position + 1)
    if node.param is not None and segment:
        yield from _walk(node.param, segments, position + 1)
    yield from node.rest


def _accepts(route: Route, method: str, headers: Mapping[str, str]) -> bool:
    if route.methods and method not in route.methods:
        return False
    return all(_has_field(wanted, headers.get(wanted.name)) for wanted in route.headers)


def _has_field(wanted: HeaderMatch, value: str | None) -> bool:
    if value is None:
        return wanted.kind == "absent"
    if wanted.kind == "exact":
        return value == wanted.value
    if wanted.kind == "prefix":
        return value.startswith(wanted.value)
    return wanted.kind == "present"


def _params(route: Route, segments: list[str]) -> dict[str, str]:
    params = {name: segments[position] for name, position in route.params}
    if route.rest is not None:
        name, position = route.rest
        params[name] = "/".join(segments[position:])
    return params
