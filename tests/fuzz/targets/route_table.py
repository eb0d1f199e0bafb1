"""The route table: as the twin and as a naive scan, for paths, hosts and routes of any text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from urllib.parse import unquote_to_bytes

from headgate.ext import implementation
from headgate.ext.route_table import RouteSpec, RouteTable, RouteTableError, normalize_path

from ...property.ext.test_route_table_laws import (
    FIELDS,
    HEADERS,
    HOST_PATTERNS,
    HOSTS,
    METHODS,
    Call,
    scan,
)
from ..draws import Draws, sized

COMPILED, TWIN = implementation("route_table", "compiled"), implementation("route_table", "twin")
PATTERNS = (
    *(
        "/",
        "/a",
        "/b",
        "/~c",
        "/{p}",
        "/{*rest}",
        "/a/",
        "/a/b",
        "/a/{q}",
        "/{p}/b",
        "/{p}/{q}",
        "/a/{*rest}",
        "/{x}/{*rest}",
    ),
    *(
        "/a/b/{p}",
        "/a/{p}/b",
        "/{p}/b/a",
        "/{p}/{q}/{*rest}",
        "/%7Ec/a",
        "/a+b",
        "/x%2By",
        "/a/x%2by",
        "/a/b/",
        "/{p}/",
    ),
)
VALUES = ("a", "b", "~c", "%7Ec", "x%2by", "d;e", "%c3%a9", "..", "")
MAX_SPECS = 6
MAX_CALLS = 16
MAX_BYTES = 1024
TOKENS = (
    *(
        b"/",
        b"/a",
        b"%2F",
        b"%2e",
        b"..;",
        b"%7Ec",
        b"/%41",
        b"{p}",
        b"{*rest}",
        b"*.",
        b":80",
        b".ex.com",
        b"//",
        b".",
    ),
    *(host.encode() for host in (*HOSTS, *HOST_PATTERNS)),
)


def check(data: bytes) -> None:
    """Raises: AssertionError."""
    draws = Draws(data)
    specs = [drawn_spec(draws) for _ in range(1 + draws.number() % MAX_SPECS)]
    table, twin = built(COMPILED.RouteTable, specs), built(TWIN.RouteTable, specs)
    if table is None or twin is None:
        assert table is twin
        return
    assert table.shadowed() == twin.shadowed()
    for _ in range(MAX_CALLS):
        call = drawn_call(draws)
        match = call.of(table)
        assert match == call.of(twin), call
        assert table.allowed_methods(call.host, call.path) == twin.allowed_methods(call.host, call.path), call
        check_path(call.path)
        assert match == (None if normalize_path(call.path) is None else scan(specs, call)), call
        if draws.is_empty:
            break


def drawn_spec(draws: Draws) -> RouteSpec:
    """Draw a route, mostly of parts that meet."""
    kind = draws.number()
    path = draws.text().decode("utf-8", "replace") if kind % 8 == 7 else draws.pick(PATTERNS)
    num_hosts = kind >> 3 & 3
    hosts = tuple(draws.pick(HOST_PATTERNS) for _ in range(num_hosts % 3))
    if num_hosts == 3:
        hosts = (draws.text().decode("utf-8", "replace"),)
    methods = frozenset(draws.pick(METHODS) for _ in range(kind >> 5 & 1))
    fields = tuple(draws.pick(FIELDS) for _ in range(kind >> 6 & 1))
    return RouteSpec("route", path, hosts, methods, fields, priority=(kind >> 7) * (draws.number() % 3))


def drawn_call(draws: Draws) -> Call:
    """Draw a request."""
    kind = draws.number()
    host = draws.text().decode("utf-8", "replace") if kind & 1 else draws.pick(HOSTS)
    path = draws.text().decode("utf-8", "replace")
    name = re.sub(r"\.?(:[0-9]*)?\Z", "", host, count=1)
    return Call(
        name.lower() if name.isascii() else name,
        host,
        path,
        METHODS[kind >> 1 & 1],
        HEADERS[(kind >> 2) % len(HEADERS)],
    )


def built(kind: type[RouteTable], specs: list[RouteSpec]) -> RouteTable | None:
    """Make a table; None where a route is refused."""
    try:
        return kind(specs)
    except RouteTableError:
        return None


def check_path(path: str) -> None:
    """The normal form is one, and means the same."""
    normal = normalize_path(path)
    assert normal == TWIN.normalize_path(path)
    if normal is not None:
        assert normalize_path(normal) == normal
        assert unquote_to_bytes(normal) == unquote_to_bytes(path)


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    yield from (_seed(Random(seed)) for seed in range(300))


def _seed(random: Random) -> bytes:
    """Write routes as they are drawn, and requests that fit some of them."""
    num_specs = random.randrange(MAX_SPECS)
    places = [random.randrange(len(PATTERNS)) for _ in range(1 + num_specs)]
    routes = b""
    for place in places:
        num_hosts, has_method, has_field = random.choice((0, 0, 1, 2)), random.randrange(2), random.randrange(2)
        kind = num_hosts << 3 | has_method << 5 | has_field << 6 | random.randrange(2) << 7
        routes += bytes((kind, place)) + random.randbytes(num_hosts + has_method + has_field + 1)
    calls = b""
    for place in random.choices(places, k=4):
        parts = PATTERNS[place].split("/")
        path = "/".join(random.choice(VALUES) if part.startswith("{") else part for part in parts)
        calls += bytes((random.randrange(0, 256, 2), random.randrange(len(HOSTS)))) + sized(path.encode())
    return bytes((num_specs,)) + routes + calls
