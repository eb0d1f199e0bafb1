"""Whom an exchange asks, in which order, and what it may do there: worked out once for each route and choice."""

from __future__ import annotations

import random
from collections.abc import Mapping

from .exchange.plan import Plan
from .snapshot import Groups, RouteProgram
from .upstream.cluster import Cluster
from .verdicts import Target

MAX_COURSES = 4096
MAX_ORDERS = 64

Course = tuple[tuple[Target, ...], Plan]  # whom to ask, in this order, and how: but for the deadline


def in_order(groups: Groups) -> tuple[Target, ...]:
    """Return the targets in the order of trying: group by group, inside a group drawn by weight."""
    ordered: list[Target] = []
    for group in groups:
        if len(group) < 2:
            ordered += group
        else:
            ordered += _drawn(group)
    return tuple(ordered)


def _drawn(group: tuple[Target, ...]) -> list[Target]:
    left, drawn = list(group), []
    weight = sum([target.weight for target in group])
    while len(left) > 1:
        point = random.random() * weight
        for chosen in left:
            point -= chosen.weight
            if point < 0:
                break
        left.remove(chosen)
        drawn.append(chosen)
        weight -= chosen.weight
    return drawn + left


def plan_of(
    program: RouteProgram,
    targets: tuple[Target, ...],
    clusters: Mapping[str, Cluster],
    *,
    may_resend: bool,
    is_prefilled: bool,
) -> Plan:
    """Return a route's plan for these targets, without a deadline. `is_prefilled`: answers may go on from a text."""
    is_prefilled = is_prefilled and program.resume_tries > 0
    return Plan(
        timeouts=tuple([clusters[target.cluster].settings.timeouts for target in targets]),
        deadline=float("inf"),
        may_resend=may_resend,
        max_attempts=program.max_attempts,
        busy_wait_s=program.busy_wait_s,
        commit=program.commit,
        retry=program.retry,
        fallback=program.fallback,
        hedge=program.hedge,
        hold=program.hold,
        contexts=tuple([target.context for target in targets]),
        resume_tries=program.resume_tries,
        prefills=tuple([target.prefill is not None for target in targets]) if is_prefilled else (),
    )


class Courses:
    """The courses that requests may take under one snapshot, made once for each route, groups and kind of request.

    At most `MAX_COURSES` are kept, and of one with weights `MAX_ORDERS` orders. Where plugins make groups anew for each
    request, all are forgotten from time to time.
    """

    __slots__ = ("_clusters", "_kept")

    def __init__(self, clusters: Mapping[str, Cluster]) -> None:
        self._clusters = clusters
        self._kept: dict[tuple[int, int, bool, bool], _Kept] = {}

    @property
    def num_kept(self) -> int:
        """How many are kept, each in all its orders."""
        return len(self._kept)

    def draw(self, program: RouteProgram, groups: Groups, may_resend: bool, is_prefilled: bool = False) -> Course:
        """Return a course: group by group, inside a group drawn by weight. Its plan is to be used `at` a deadline.

        For what `plan_of` says; a request without fallback, or for an upgrade, has a plan of its own.
        """
        kept = self._kept.get((id(program), id(groups), may_resend, is_prefilled))
        if kept is None:
            kept = self._keep(program, groups, may_resend, is_prefilled)
        return kept.only or kept.drawn(self._clusters)

    def _keep(self, program: RouteProgram, groups: Groups, may_resend: bool, is_prefilled: bool) -> _Kept:
        if len(self._kept) >= MAX_COURSES:
            self._kept.clear()
        kept = _Kept(program, groups, may_resend, is_prefilled)
        if all(len(group) < 2 for group in groups):
            kept.only = kept.drawn(self._clusters)
        self._kept[id(program), id(groups), may_resend, is_prefilled] = kept
        return kept


class _Kept:
    """The courses through some groups. Holds what it is found by, so that nothing else gets the same `id`."""

    __slots__ = ("_groups", "_is_prefilled", "_may_resend", "_orders", "_program", "only")

    def __init__(self, program: RouteProgram, groups: Groups, may_resend: bool, is_prefilled: bool) -> None:
        self._program = program
        self._groups = groups
        self._may_resend = may_resend
        self._is_prefilled = is_prefilled
        self._orders: dict[tuple[int, ...], Course] = {}
        self.only: Course | None = None  # where there is only one order

    def drawn(self, clusters: Mapping[str, Cluster]) -> Course:
        targets = in_order(self._groups)
        key = tuple(map(id, targets))
        course = self._orders.get(key)
        if course is None:
            plan = plan_of(
                self._program, targets, clusters, may_resend=self._may_resend, is_prefilled=self._is_prefilled
            )
            course = targets, plan
            if len(self._orders) < MAX_ORDERS:
                self._orders[key] = course
        return course
