"""The route table against a naive scan, written from the rules of precedence alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import combinations, permutations, product
from random import Random
from string import ascii_letters, digits
from urllib.parse import quote_from_bytes, unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import implementation
from headgate.ext.route_table import HeaderMatch, Match, RouteSpec, RouteTable, normalize_path

LITERALS = ["a", "b", "~c", "a+b", "x%2By"]
VALUES = [*LITERALS, "d", "..e", "v;p=1", "%c3%a9", "%2b", "%7Ec", "%61"]
HOSTS = ["ex.com", "a.ex.com", "b.a.ex.com", "other.org", ""]
HOST_PATTERNS = ["ex.com", "A.ex.com", "*.ex.com", "*.a.ex.com", "*.com", "b.a.ex.com"]
METHODS = ["GET", "POST", "PUT"]
FIELDS = [
    HeaderMatch("h", "present"),
    HeaderMatch("h", "absent"),
    HeaderMatch("h", "exact", "xy"),
    HeaderMatch("h", "prefix", "x"),
    HeaderMatch("g", "exact", ""),
    HeaderMatch("g", "present"),
]
HEADERS: list[dict[str, str]] = [
    {},
    {"h": "xy"},
    {"h": "xz"},
    {"h": ""},
    {"g": ""},
    {"g": "1", "h": "xy"},
    {"g": "", "h": "xy"},
]
UNRESERVED = ascii_letters + digits + "-._~"


@dataclass(frozen=True)
class Call:
    """One request; `name` is the host without its port and in lower case."""

    name: str
    host: str
    path: str
    method: str
    headers: dict[str, str]

    def of(self, table: RouteTable) -> Match | None:
        return table.match(self.host, self.path, self.method, self.headers)


# The rules once more, without regard to cost.


def canonical(segment: str) -> str:
    done, at = "", 0
    while at < len(segment):
        if segment[at] != "%":
            done, at = done + segment[at], at + 1
            continue
        character = chr(int(segment[at + 1 : at + 3], 16))
        done += character if character in UNRESERVED else segment[at : at + 3].upper()
        at += 3
    return done


def host_rank(spec: RouteSpec, name: str) -> tuple[int, int] | None:
    ranks = [] if spec.hosts else [(2, 0)]
    for pattern in (host.lower() for host in spec.hosts):
        if pattern == name:
            ranks.append((0, 0))
        if pattern.startswith("*") and name.endswith(pattern[1:]) and len(name) >= len(pattern):
            ranks.append((1, -len(pattern)))
    return min(ranks, default=None)


def path_rank(spec: RouteSpec, path: str) -> tuple[tuple[int, ...], dict[str, str]] | None:
    wanted, given_ = spec.path.split("/")[1:], path.split("/")[1:]
    kinds: list[int] = []
    params: dict[str, str] = {}
    for place, pattern in enumerate(wanted):
        if place >= len(given_):
            return None
        if pattern.startswith("{*"):
            return (*kinds, 2), params | {pattern[2:-1]: "/".join(given_[place:])}
        if pattern.startswith("{"):
            if not given_[place]:
                return None
            kinds.append(1)
            params[pattern[1:-1]] = given_[place]
        elif canonical(pattern) == canonical(given_[place]):
            kinds.append(0)
        else:
            return None
    return (tuple(kinds), params) if len(wanted) == len(given_) else None


def holds(wanted: HeaderMatch, headers: dict[str, str]) -> bool:
    value = headers.get(wanted.name)
    return {
        "present": value is not None,
        "absent": value is None,
        "exact": value == wanted.value,
        "prefix": value is not None and value[: len(wanted.value)] == wanted.value,
    }[wanted.kind]


def scan(specs: list[RouteSpec], call: Call) -> Match | None:
    found = []
    for index, spec in enumerate(specs):
        host, path = host_rank(spec, call.name), path_rank(spec, call.path)
        if host is None or path is None or (spec.methods and call.method not in spec.methods):
            continue
        if all(holds(wanted, call.headers) for wanted in spec.headers):
            num_predicates = len(spec.headers) + (1 if spec.methods else 0)
            found.append((host, path[0], -spec.priority, -num_predicates, index, path[1]))
    if not found:
        return None
    *_, index, params = min(found, key=lambda item: item[:5])
    return Match(specs[index].name, index, params)


# What is generated: few names, so that routes meet.


def _pattern(body: tuple[str, ...], end: str, names: str) -> str:
    named = (f"{{{names[place]}}}" if part == "{}" else part for place, part in enumerate(body))
    return "".join(f"/{part}" for part in named) + (end if body or end else "/")


BODIES: list[tuple[str, ...]] = [
    *(body for length in (0, 1, 2) for body in product(["a", "b", "~c", "{}"], repeat=length)),
    *product(["a", "{}"], repeat=3),
    *(("%7Ec", "a"), ("a+b",), ("x%2By",), ("a", "x%2by")),
]
ENDS = ["", "", "/", "/{*rest}"]
SPECS = st.builds(
    RouteSpec,
    name=st.sampled_from(["one", "two"]),
    path=st.sampled_from([_pattern(*parts) for parts in product(BODIES, ENDS, ["pqr", "xpq"])]),
    hosts=st.sampled_from([*[()] * 20, *product(HOST_PATTERNS), *permutations(HOST_PATTERNS, 2)]),
    methods=st.sampled_from([frozenset(names) for length in (0, 0, 1, 2) for names in combinations(METHODS, length)]),
    headers=st.sampled_from([*[()] * 20, *product(FIELDS), *permutations(FIELDS, 2)]),
    priority=st.sampled_from([0, 0, 0, -1, 1]),
)


@st.composite
def tables(draw: st.DrawFn) -> list[RouteSpec]:
    """Routes of which some are near copies of others: the ties of precedence are the hard part."""
    drawn = draw(st.lists(SPECS, min_size=1, max_size=5))
    for original in draw(st.lists(st.sampled_from(drawn), max_size=3)):
        other = draw(st.sampled_from(drawn) | SPECS)
        fields = draw(st.sets(st.sampled_from(["path", "hosts", "methods", "headers", "priority"]), max_size=2))
        copy = replace(original, **{field: getattr(other, field) for field in fields})
        drawn.insert(draw(st.integers(0, len(drawn))), copy)
    return drawn


def calls(table: list[RouteSpec], random: Random) -> list[Call]:
    """Requests made to fit routes of the table, mostly. Drawn in bulk: Hypothesis shrinks the table instead."""
    return [call_for(random.choice(table), random) for _ in range(40)]


def call_for(spec: RouteSpec, random: Random) -> Call:
    path = ""
    for pattern in spec.path.split("/")[1:]:
        value = random.choice(VALUES) if pattern.startswith("{") or random.random() < 0.1 else pattern
        if pattern.startswith("{*"):
            value = "/".join(random.choices(VALUES, k=random.randrange(4)))
            value += random.choice(["", "/"]) if value else ""
        path += "/" + (value if random.random() < 0.7 else encoded(value, random))
    name = random.choice(HOSTS)
    if spec.hosts and random.random() < 0.8:
        name = random.choice(spec.hosts).lower().replace("*", random.choice(["z", "b.a", "a"]))
    host = random.choice([name, name.upper(), name + ":8080", name + ".:80" if name else name])
    method = random.choice(sorted(spec.methods) if spec.methods and random.random() < 0.8 else METHODS)
    fitting = [headers for headers in HEADERS if all(holds(wanted, headers) for wanted in spec.headers)]
    headers = random.choice(fitting if fitting and random.random() < 0.8 else HEADERS)
    return Call(name, host, path, method, headers)


def encoded(segment: str, random: Random) -> str:
    """The same segment, some unreserved characters of it written as their codes."""
    return "".join(
        f"%{ord(part):02x}" if part in UNRESERVED and random.random() < 0.4 else part
        for part in re.findall(r"%..|.", segment)
    )


SEEDS = st.integers(0, 2**32)


@settings(max_examples=120, deadline=None)
@given(table=tables(), seed=SEEDS)
def test_match_is_the_best_of_a_naive_scan(table_type: type[RouteTable], table: list[RouteSpec], seed: int) -> None:
    compiled = table_type(table)
    for call in calls(table, Random(seed)):
        assert call.of(compiled) == scan(table, call), call


@settings(max_examples=50, deadline=None)
@given(table=tables(), seed=SEEDS)
def test_allowed_methods_are_those_of_all_routes_of_host_and_path(
    table_type: type[RouteTable], table: list[RouteSpec], seed: int
) -> None:
    compiled = table_type(table)
    for call in calls(table, Random(seed)):
        fitting = [spec for spec in table if host_rank(spec, call.name) and path_rank(spec, call.path)]
        expected = {method for spec in fitting for method in spec.methods}
        assert compiled.allowed_methods(call.host, call.path) == expected, call


@settings(max_examples=120, deadline=None)
@given(table=tables(), seed=SEEDS)
def test_a_shadowed_route_is_never_matched_and_its_winner_matches_all_that_it_would(
    table_type: type[RouteTable], table: list[RouteSpec], seed: int
) -> None:
    compiled, random = table_type(table), Random(seed)
    for loser, winner in compiled.shadowed():
        alone, other = table_type([table[loser]]), table_type([table[winner]])
        for call in calls([table[loser]], random):
            match = call.of(compiled)
            assert match is None or match.index != loser, call
            assert call.of(alone) is None or call.of(other) is not None, call


@settings(max_examples=50, deadline=None)
@given(table=tables(), seed=SEEDS)
def test_an_equal_route_later_in_the_list_is_always_reported(
    table_type: type[RouteTable], table: list[RouteSpec], seed: int
) -> None:
    copied = Random(seed).choice(table)
    shadowed = dict(table_type([*table, replace(copied, name="copy")]).shadowed())
    assert len(table) in shadowed


ODD_PATHS = st.one_of(
    st.text(alphabet="/%.;2eEfF5cC07~a+\\?#", max_size=24).map(lambda text: f"/{text}"),
    st.lists(st.sampled_from(["/", "a", ".", "..", "%2e", "%2F", "%5c", "%00", "%41", ";", "%3B", "%25"])).map("".join),
    st.text(max_size=12).map(lambda text: f"/{text}"),
    st.text(max_size=12),
)


@settings(max_examples=1000, deadline=None)
@given(raw=ODD_PATHS)
def test_normalize_path_is_as_the_twin_has_it(raw: str) -> None:
    normal = normalize_path(raw)
    assert normal == implementation("route_table", "twin").normalize_path(raw)
    assert normal is raw or normal is None or "%" in raw


@settings(max_examples=500, deadline=None)
@given(raw=ODD_PATHS)
def test_normalize_path_is_idempotent_and_changes_no_meaning(raw: str) -> None:
    normal = normalize_path(raw)
    if normal is None:
        return
    assert normalize_path(normal) == normal
    assert unquote_to_bytes(normal) == unquote_to_bytes(raw)
    assert normal.count("/") == raw.count("/")
    assert normal == "/".join(canonical(segment) for segment in raw.split("/"))


@settings(max_examples=500, deadline=None)
@given(raw=ODD_PATHS)
def test_normalize_path_refuses_exactly_what_the_policy_names(raw: str) -> None:
    is_written_well = re.fullmatch(r"/(?:[^\x00-\x20\x7f-\U0010ffff%?#\\]|%[0-9a-fA-F]{2})*", raw) is not None
    decoded = [unquote_to_bytes(segment) for segment in raw.split("/")[1:]]
    has_two_readings = any(
        re.search(rb"[/\\\x00]", segment) or segment.split(b";")[0] in (b".", b"..") for segment in decoded
    )
    is_empty_inside = b"" in decoded[:-1]
    is_refused = not is_written_well or has_two_readings or is_empty_inside
    assert (normalize_path(raw) is None) == is_refused


@settings(max_examples=500, deadline=None)
@given(raw=ODD_PATHS)
def test_a_table_that_takes_all_matches_exactly_the_paths_that_normalize(
    table_type: type[RouteTable], raw: str
) -> None:
    match = table_type([RouteSpec("all", "/{*rest}")]).match("", raw, "GET", {})
    expected = None if normalize_path(raw) is None else Match("all", 0, {"rest": raw[1:]})
    assert match == expected


@settings(max_examples=300, deadline=None)
@given(raw=st.lists(st.sampled_from(["a", "Z", "~", "-", "%2b", "%41", "/b", ";x"])), picks=st.sets(st.integers(0, 40)))
def test_normalize_path_gives_one_form_to_all_spellings(raw: list[str], picks: set[int]) -> None:
    plain = "/" + "".join(raw)
    spelled = "".join(
        f"%{ord(character):02x}" if place in picks and character in UNRESERVED else character
        for place, character in enumerate(re.findall(r"%..|.", plain))
    )
    assert normalize_path(spelled) == normalize_path(plain)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(min_size=1, max_size=8))
def test_a_param_holds_any_bytes_that_a_client_encodes(table_type: type[RouteTable], data: bytes) -> None:
    value = quote_from_bytes(data, safe="")
    match = table_type([RouteSpec("file", "/files/{id}")]).match("", f"/files/{value}", "GET", {})
    if match is None:
        assert set(data) & set(b"/\\\0") or data in (b".", b"..") or data.startswith((b".;", b"..;"))
    else:
        assert unquote_to_bytes(match.params["id"]) == data


@settings(max_examples=500, deadline=None)
@given(host=st.text(alphabet="aA.:80[]é\u212a-", max_size=12) | st.text(max_size=8))
def test_hosts_of_any_text_are_read_alike_by_twin_and_table(table_type: type[RouteTable], host: str) -> None:
    hosts = ["a", "a.a", "*.a", "*.a.a", "[::a]", "k", "a.8"]
    table = [RouteSpec(pattern, "/", hosts=(pattern,)) for pattern in hosts] + [RouteSpec("any", "/")]
    twin: RouteTable = implementation("route_table", "twin").RouteTable(table)
    match = table_type(table).match(host, "/", "GET", {})
    name = re.sub(r"\.?(:[0-9]*)?\Z", "", host, count=1)
    lower = name.lower() if name.isascii() else name
    ranks = {spec.name: rank for spec in table if (rank := host_rank(spec, lower)) is not None}
    assert match == twin.match(host, "/", "GET", {})
    assert match is not None and match.name == min(ranks, key=lambda pattern: ranks[pattern])
