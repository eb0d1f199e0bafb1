"""What a route may set: each mistake is told with its place; scorers of other packages are found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from typing import get_args

import pytest

from headgate.plugins.aggregate import Aggregate, Candidate, scorers
from headgate.plugins.aggregate.branch import Outcome
from headgate.plugins.aggregate.options import AggregateOptions, BranchOptions, JudgeOptions, Strategy
from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import Setup

from ....meta.pages import rows, text_of
from .branches import Fate, tell
from .test_strategies import completion

TEMPLATE = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {one: {endpoints: ["http://127.0.0.1:1"]}, two: {endpoints: ["http://127.0.0.1:2"]}}
plugins: {aggregate: {}}
stages: {aggregate: [aggregate]}
routes: [{name: r, match: {path: /}, targets: [one, two], plugins: {aggregate: OPTIONS}}]
"""
SCHEMA = PluginSchema("aggregate", None, Aggregate.RouteOptions, frozenset({"aggregate"}))
WRONG = [
    ("{strategy: fastest}", 'strategy: got "fastest"'),
    ("{strategy: judge}", 'strategy: got "judge", wanted a `judge` with this strategy'),
    ("{strategy: all, judge: {target: one}}", 'strategy: got "all", wanted `strategy: judge` with a judge'),
    ("{strategy: judge, judge: {target: three}}", 'judge.target: unknown cluster "three", wanted one of `one`, `two`'),
    ("{strategy: judge, judge: {target: one/}}", 'judge.target: got "one/", wanted a target such as'),
    ("{strategy: judge, judge: {target: one, timeout: 0s}}", "judge.timeout: got"),
    ("{strategy: judge, judge: {target: one, answers: maybe}}", 'judge.answers: got "maybe"'),
    ("{strategy: all, votes: 2}", 'strategy: got "all", `votes` and `agree_on` are of `quorum`'),
    ("{strategy: quorum, votes: 0}", "votes: got 0"),
    ("{strategy: best_of, scorer: nicest}", 'scorer: unknown scorer "nicest"'),
    ("{branches: {three: {}}}", 'branches.three: unknown cluster "three"'),
    ("{branches: {one: {required: true}}}", "branches.one.required: got true, `first` needs no branch in particular"),
    ("{strategy: all, branches: {one: {name: two}, two: {}}}", 'branches.two: got "two" twice, wanted a name for each'),
    ("{strategy: all, branches: {one: {weight: 0}}}", "branches.one.weight: got 0"),
    ("{strategy: all, branches: {one: {skip_when: {}}}}", "branches.one.skip_when: got a condition that names nothing"),
    ("{strategy: all, branches: {one: {optional: true}}}", "branches.one.optional: unknown key"),
    ("{max_branch_bytes: 0}", "max_branch_bytes: got 0"),
    ("{max_total_bytes: 1GiB}", "max_total_bytes: got"),
    ("{margin_ms: -1}", "margin_ms: got -1"),
    ("{parts: never}", 'parts: got "never"'),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_options_are_told_with_their_place(options: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        check(TEMPLATE.replace("OPTIONS", options), {"aggregate": SCHEMA}, {})
    (problem,) = caught.value.problems
    assert f"routes[0].plugins.aggregate.{message}" in str(problem)


def test_it_is_a_plugin_of_the_contract_under_any_name() -> None:
    kind = load_type("aggregate", EntryPoint("aggregate", "headgate.plugins.aggregate:Aggregate", "headgate.plugins"))
    assert kind.stages == {"aggregate"} and kind.route_options is Aggregate.RouteOptions
    plugin = Aggregate()
    plugin.headgate_configure(Setup("fan", None, {}))
    assert plugin._name == "fan"


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = {
        name: EntryPoint(name, f"{__name__}:{name}", scorers.ENTRY_POINT_GROUP)
        for name in ("vowels", "broken", "short_of", "not_a_number", "missing", "no_function")
    }
    monkeypatch.setattr(scorers, "_offered", lambda: points)
    scorers.scorer_named.cache_clear()
    yield
    scorers.scorer_named.cache_clear()


def vowels(candidates: Sequence[Candidate]) -> list[int]:
    return [sum(candidate.content.count(each) for each in "aeiou") for candidate in candidates]


def broken(candidates: Sequence[Candidate]) -> list[float]:
    raise ValueError("no opinion")


def short_of(candidates: Sequence[Candidate]) -> list[float]:
    return [1.0]


def not_a_number(candidates: Sequence[Candidate]) -> list[float]:
    return [float("nan")] * len(candidates)


FATES = [Fate(0.3, body=completion("bcd")), Fate(0.2, body=completion("aei")), Fate(0.1, body=completion("xyzzy"))]


@pytest.mark.usefixtures("offered")
def test_a_scorer_of_another_package_decides() -> None:
    assert tell(FATES, strategy="best_of", scorer="vowels").body == FATES[1].body
    assert "vowels" in scorers.known_scorers()


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("scorer", ["broken", "short_of", "not_a_number"])
def test_where_a_scorer_fails_all_are_equal(scorer: str) -> None:
    assert tell(FATES, strategy="best_of", scorer=scorer).body == FATES[0].body
    weighed = tell(FATES, strategy="best_of", scorer=scorer, branches={"c": {"weight": 2}})
    assert weighed.body == FATES[2].body


no_function = ("a", "b")


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        ("missing", "cannot be imported: AttributeError: module"),
        ("no_function", "is no function: expected one, got tuple"),
    ],
)
def test_a_scorer_that_can_never_score_is_refused(scorer: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        check(TEMPLATE.replace("OPTIONS", f"{{strategy: best_of, scorer: {scorer}}}"), {"aggregate": SCHEMA}, {})
    (problem,) = caught.value.problems
    assert f"routes[0].plugins.aggregate.scorer: the scorer `{scorer}` {message}" in str(problem)


def test_a_candidate_has_what_a_scorer_needs() -> None:
    seen: list[Candidate] = []

    def look(candidates: Sequence[Candidate]) -> list[float]:
        seen.extend(candidates)
        return [0.0] * len(candidates)

    fates = [
        Fate(body=completion("one")),
        Fate(body=b'{"b": 1, "a": 2}'),
        Fate(body=b" text ", media_type="text/plain"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorers, "scorer_named", lambda name: look)
        tell(fates, strategy="best_of", branches={"b": {"weight": 3}})
    assert [(c.name, c.content, c.weight, c.media_type) for c in seen] == [
        ("a", "one", 1, "application/json"),
        ("b", json.dumps({"a": 2, "b": 1}, separators=(",", ":")), 3, "application/json"),
        ("c", "text", 1, "text/plain"),
    ]


def test_the_page_tells_every_option() -> None:
    page = text_of("docs/plugins/aggregate.md")
    for title, model in (("option", AggregateOptions), ("of a branch", BranchOptions), ("of judge", JudgeOptions)):
        told = {name for cells in rows(page, title) for name in cells[0].split(", ")}
        assert told == set(model.model_fields), title
    assert [cells[0] for cells in rows(page, "the strategy")] == list(get_args(Strategy))
    assert [cells[0] for cells in rows(page, "outcome")] == list(get_args(Outcome))
