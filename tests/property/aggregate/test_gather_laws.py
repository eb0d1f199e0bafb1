"""Laws of gathering, over any delays and faults of the branches, on the virtual clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.errors import KINDS
from headgate.proxy.exchange.message import Response

from ...unit.plugins.aggregate.branches import Fate, Told, tell

DEADLINE_S = 4.0
MARGIN_S = 0.05
OUTCOMES = {"ok", "error", "timeout", "skipped"}
SPANS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 3.0, 6.0])
TEXTS = st.sampled_from([b'{"n": 1}', b'{"n": 2}', b'{"m": 3}', b"garbage", b"", None])

fates = st.builds(
    Fate,
    head_s=SPANS,
    fails=st.sampled_from([None, None, None, "connect_failed", "reset", "silent", "malformed_answer"]),
    status=st.sampled_from([200, 200, 200, 201, 404, 500, 503]),
    body_s=SPANS,
    body=TEXTS,
    cut=st.sampled_from([None, None, None, "truncated", "reset"]),
)
# No branch ends at the very moment at which its time is over: both would be right.
told_of_branches = st.fixed_dictionaries(
    {},
    optional={
        "required": st.booleans(),
        "timeout": st.sampled_from(["210ms", "1010ms", "2020ms"]),
        "weight": st.integers(1, 3),
        "skip_when": st.just({"fields": {"x-skip": "*"}}),
    },
)
gathering = st.fixed_dictionaries(
    {"strategy": st.sampled_from(["all", "quorum", "best_of", "merge"])},
)
worlds = st.lists(st.tuples(fates, told_of_branches), min_size=1, max_size=6)


def alone(fate: Fate, branch: dict[str, Any], *, is_read: bool = True) -> tuple[float, str]:
    """When and how a branch would end if nothing else mattered."""
    limit = {"210ms": 0.21, "1010ms": 1.01, "2020ms": 2.02}.get(branch.get("timeout", ""), float("inf"))
    if fate.fails is not None:
        end, outcome = fate.head_s, "error"
    else:
        body_s = 0.0 if not is_read else float("inf") if fate.body is None else fate.body_s
        is_cut = is_read and fate.cut is not None
        end, outcome = fate.head_s + body_s, "error" if is_cut or fate.status >= 400 else "ok"
    return (limit, "timeout") if end > limit else (end, outcome)


def is_decided(strategy: str, branches: list[dict[str, Any]], ended: list[str | None], votes: int) -> bool:
    """The rule once more, as the page tells it."""
    required = [at for at, branch in enumerate(branches) if branch.get("required") and ended[at] != "skipped"]
    if any(ended[at] in ("error", "timeout") for at in required):
        return True
    if strategy == "first":
        return "ok" in ended or None not in ended
    weights = [branch.get("weight", 1) for branch in branches]
    if strategy == "quorum":
        have = sum(weight for weight, outcome in zip(weights, ended, strict=True) if outcome == "ok")
        may = have + sum(weight for weight, outcome in zip(weights, ended, strict=True) if outcome is None)
        return may < votes or (have >= votes and all(ended[at] == "ok" for at in required))
    return None not in ([ended[at] for at in required] if required else ended)


def expected_end(strategy: str, world: list[tuple[Fate, dict[str, Any]]], is_skipping: bool) -> float:
    """P30: when everything is known, the rule is decided, or the time is over."""
    branches = [branch for _, branch in world]
    is_read = strategy != "first"
    ends = [alone(fate, branch, is_read=is_read) for fate, branch in world]
    skipped = [is_skipping and "skip_when" in branch for branch in branches]
    votes = sum(b.get("weight", 1) for b, s in zip(branches, skipped, strict=True) if not s) // 2 + 1
    until = DEADLINE_S - MARGIN_S
    for now in sorted({0.0, *(end for end, _ in ends if end <= until)}):
        known = [
            "skipped" if is_left else outcome if end <= now else None
            for (end, outcome), is_left in zip(ends, skipped, strict=True)
        ]
        if is_decided(strategy, branches, known, votes):
            return now
    return until


def play(world: list[tuple[Fate, dict[str, Any]]], strategy: str, *, is_skipping: bool = False, **more: Any) -> Told:
    names = [chr(97 + at) for at in range(len(world))]
    branches = {name: branch for name, (_, branch) in zip(names, world, strict=True)}
    if strategy == "first":
        branches = {name: {**branch, "required": False} for name, branch in branches.items()}
    fields = (("x-skip", "1"),) if is_skipping else ()
    return tell(
        [fate for fate, _ in world], *fields, deadline_s=DEADLINE_S, strategy=strategy, branches=branches, **more
    )


def hold(told: Told) -> None:
    """What holds of every exchange: P29, and that nothing is left."""
    assert set(told.outcomes) <= OUTCOMES
    assert told.num_tasks == 0
    assert all(body.is_closed for body in told.bodies)
    assert len({name for name, _ in told.asked}) == len(told.asked)  # nobody is asked twice
    if not isinstance(told.answer, Response):
        assert told.error in KINDS and told.answer.kind.status in (404, 502, 503, 504)


@given(worlds, st.sampled_from(["first", "all", "quorum", "best_of", "merge"]), st.booleans())
def test_it_ends_when_it_is_decided_and_never_later(
    world: list[tuple[Fate, dict[str, Any]]], strategy: str, is_skipping: bool
) -> None:
    if strategy == "first":  # whose answer is read by the client, in the client's time
        world = [(replace(fate, body=fate.body or b"x", cut=None), {**b, "required": False}) for fate, b in world]
    told = play(world, strategy, is_skipping=is_skipping)
    hold(told)
    end = expected_end(strategy, world, is_skipping)
    if strategy == "first":
        read_s = max((body.fate.body_s for body in told.bodies if body._sent == 2), default=0.0)
        assert end - 0.01 <= told.ended_at <= end + read_s + 0.01
    else:
        assert abs(told.ended_at - end) < 0.01
        assert told.ended_at <= DEADLINE_S + 0.02


@given(worlds, st.sampled_from(["all", "quorum", "best_of", "merge"]))
def test_what_has_ended_by_then_is_told_as_it_ended_and_the_rest_is_late_or_not_needed(
    world: list[tuple[Fate, dict[str, Any]]], strategy: str
) -> None:
    told = play(world, strategy)
    until = DEADLINE_S - MARGIN_S
    for (fate, branch), outcome in zip(world, told.outcomes, strict=True):
        end, wanted = alone(fate, branch)
        if end < told.ended_at - 0.01:
            assert outcome == wanted
        elif end > told.ended_at + 0.01:
            assert outcome == ("timeout" if told.ended_at >= until - 0.01 else "skipped")


@given(worlds, st.sampled_from(["all", "quorum", "best_of", "merge"]))
def test_no_answer_comes_later_than_the_slowest_branch_that_is_required(
    world: list[tuple[Fate, dict[str, Any]]], strategy: str
) -> None:
    required = [alone(fate, branch) for fate, branch in world if branch.get("required")]
    told = play(world, strategy)
    assert told.ended_at <= DEADLINE_S + 0.02
    if required and strategy != "quorum":  # which may need others besides
        assert told.ended_at <= max(end for end, _ in required) + 0.01


@given(worlds, st.sampled_from(["all", "best_of", "merge"]), st.randoms(use_true_random=False))
def test_the_order_in_which_they_answer_changes_nothing(
    world: list[tuple[Fate, dict[str, Any]]], strategy: str, random: Any
) -> None:
    """P32, where all are waited for."""
    calm = [(replace(fate, body_s=0.0, body=fate.body or b"x"), {"weight": b.get("weight", 1)}) for fate, b in world]
    spans = [random.choice((0.1, 0.4, 0.9, 2.0)) for _ in calm]
    shuffled = [(replace(fate, head_s=span), b) for (fate, b), span in zip(calm, spans, strict=True)]
    steady = [(replace(fate, head_s=1.0), b) for fate, b in calm]
    one, other = play(shuffled, strategy), play(steady, strategy)
    assert one.outcomes == other.outcomes
    if isinstance(one.answer, Response):
        assert _without_times(one) == _without_times(other)
    else:
        assert one.error == other.error


def _without_times(told: Told) -> Any:
    try:
        value = told.json()
    except ValueError:
        return told.response.status, told.body
    for branch in (
        [*value.get("branches", ()), *value.get("headgate", {}).get("branches", ())] if isinstance(value, dict) else ()
    ):
        del branch["ms"]
    return told.response.status, value


@given(worlds, st.sampled_from(["first", "all", "quorum", "best_of", "merge"]), SPANS)
def test_a_client_that_leaves_at_any_moment_leaves_nothing_behind(
    world: list[tuple[Fate, dict[str, Any]]], strategy: str, leave_s: float
) -> None:
    told = play(world, strategy, leave_s=leave_s)
    assert told.num_tasks == 0
    assert all(body.is_closed for body in told.bodies)
    assert told.ended_at <= max(leave_s, 0.0) + 0.01
