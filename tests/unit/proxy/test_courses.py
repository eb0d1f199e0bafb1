"""Courses: whom to ask in what order, and the plan for it, made once."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import yaml

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.courses import MAX_COURSES, MAX_ORDERS, Courses, in_order, plan_of
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.snapshot import Groups, Snapshot
from headgate.proxy.verdicts import Target

A, B, C = Target("a", context=4096), Target("b", weight=3, prefill="prefix"), Target("c")


def snapshot_of(**route: Any) -> Snapshot:
    types = PluginTypes()
    raw = {
        "listeners": [{"address": "127.0.0.1:8080"}],
        "clusters": {
            name: {"endpoints": [f"http://127.0.0.1:{port}"], "timeouts": {"head": f"{port}s"}}
            for port, name in enumerate("abc", 1)
        },
        "routes": [
            {"name": str(number), "match": {"path": f"/{number}"}, "targets": ["a"], **route} for number in "01"
        ],
    }
    return build(load(yaml.safe_dump(raw), types.schemas(), {}), types, Registry())


def test_a_course_is_what_is_drawn_and_planned_anew() -> None:
    snapshot = snapshot_of(kind="inference", on_break="resume")
    courses, program = Courses(snapshot.clusters), snapshot.programs[0]
    for groups in (((A,), (B,), (C,)), ((A, B, C),), ((C,), (A, B)), (), ((), (A,))):
        for is_prefilled in (True, False):
            for may_resend in (True, False):
                targets, plan = courses.draw(program, groups, may_resend, is_prefilled)
                assert {*targets} == {target for group in groups for target in group}
                assert plan == plan_of(
                    program, targets, snapshot.clusters, may_resend=may_resend, is_prefilled=is_prefilled
                )


def test_each_target_has_what_its_cluster_and_its_declaration_say() -> None:
    snapshot = snapshot_of(kind="inference", on_break="resume")
    targets, plan = Courses(snapshot.clusters).draw(snapshot.programs[0], ((B,), (A,)), True, True)
    assert targets == (B, A)
    assert [timeouts.head_s for timeouts in plan.timeouts] == [2, 1]
    assert (plan.contexts, plan.prefills, plan.resume_tries) == ((None, 4096), (True, False), 3)
    assert plan.at(7.0).deadline == 7.0


def test_nobody_goes_on_from_a_text_where_breaks_are_told() -> None:
    snapshot = snapshot_of(kind="inference", on_break="error")
    assert Courses(snapshot.clusters).draw(snapshot.programs[0], ((B,),), True, True)[1].prefills == ()


def test_it_is_made_once_for_each_route_groups_and_kind_of_request() -> None:
    snapshot = snapshot_of()
    courses, (one, other) = Courses(snapshot.clusters), snapshot.programs
    groups: Groups = ((A,), (B,))
    course = courses.draw(one, groups, True)
    assert courses.draw(one, groups, True) is course
    for program, may_resend in ((one, False), (other, True)):
        different = courses.draw(program, groups, may_resend)
        assert different is not course and different[1].may_resend is may_resend
    orders = {id(courses.draw(one, ((A, B),), True)) for _ in range(3)}
    assert id(course) not in orders


def test_groups_that_are_made_anew_are_told_apart_and_do_not_pile_up() -> None:
    """Each list of groups is forgotten by its maker at once: another one may then get its address."""
    snapshot = snapshot_of()
    courses, program = Courses(snapshot.clusters), snapshot.programs[0]
    for number in range(2 * MAX_COURSES + 10):
        expected = Target("a", str(number))
        assert courses.draw(program, ((expected,),), True)[0] == (expected,)
        assert courses.num_kept <= MAX_COURSES


def test_of_a_group_with_many_orders_some_are_kept() -> None:
    snapshot = snapshot_of()
    courses, program = Courses(snapshot.clusters), snapshot.programs[0]
    groups = (tuple(Target("a", str(number)) for number in range(5)),)  # 120 orders
    first = {targets: (targets, plan) for targets, plan in (courses.draw(program, groups, True) for _ in range(2000))}
    assert len(first) == 120
    again = [courses.draw(program, groups, True) for _ in range(2000)]
    assert len({targets for targets, plan in again if first[targets][1] is plan}) == MAX_ORDERS


@pytest.mark.parametrize("draw", ["in_order", "course"])
def test_inside_a_group_the_order_is_drawn_by_weight(draw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", random.Random(1).random)
    snapshot = snapshot_of()
    courses, program = Courses(snapshot.clusters), snapshot.programs[0]
    groups = ((A, B, Target("c", weight=4)), (C,))
    num, seen = 8000, Counter[str]()
    for _ in range(num):
        targets = in_order(groups) if draw == "in_order" else courses.draw(program, groups, True)[0]
        assert targets[3] is C
        seen["".join(target.cluster for target in targets[:3])] += 1
    shares = {"abc": 1 / 8 * 3 / 7, "acb": 1 / 8 * 4 / 7, "bac": 3 / 8 / 5, "bca": 3 / 8 * 4 / 5}
    shares |= {"cab": 4 / 8 / 4, "cba": 4 / 8 * 3 / 4}
    for order, share in shares.items():
        assert abs(seen[order] - num * share) < 5 * (num * share) ** 0.5


def test_a_target_of_no_weight_comes_last() -> None:
    none, other = Target("a", weight=0), Target("b", weight=0)
    assert all(in_order(((none, B),)) == (B, none) for _ in range(50))
    assert {*in_order(((none, other),))} == {none, other}
