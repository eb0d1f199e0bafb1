"""Single choices of who continues a broken answer: its own target, or one behind it that goes on from a text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headgate.proxy.exchange.attempt import Attempt, Purpose
from headgate.proxy.exchange.choice import Choice
from headgate.proxy.exchange.gate import Report
from headgate.proxy.exchange.plan import Plan, RetryRule, Timeouts

FOUR = Plan(
    (Timeouts(),) * 4,
    100.0,
    True,
    retry=RetryRule(backoff_s=8.0, max_backoff_s=8.0),
    resume_tries=3,
    prefills=(True, False, True, True),
)
HALF = 4.0  # of the pause


class Refusing:
    """A gate that refuses some targets."""

    def __init__(self, *refused: int) -> None:
        self.refused = refused
        self.asked: list[tuple[int, Purpose, float]] = []

    def admit(self, target: int, purpose: Purpose, now: float) -> object | None:
        self.asked.append((target, purpose, now))
        return None if target in self.refused else self

    def began(self, attempt: Attempt, now: float) -> None:
        raise AssertionError("nothing is sent here")

    def ended(self, attempt: Attempt, report: Report, now: float) -> None:
        raise AssertionError("nothing is sent here")


def resumes(choice: Choice, *instants: float) -> list[tuple[int, float] | None]:
    """Return who is asked to continue, and when, after each break; the answer does not move in between."""
    attempts = [choice.resume(now) for now in instants]
    assert all(attempt is None or attempt.purpose is Purpose.RESUME for attempt in attempts)
    return [(attempt.target, attempt.at) if attempt is not None else None for attempt in attempts]


def choice_of(plan: Plan, gate: Refusing) -> Choice:
    return Choice(plan, gate, lambda: 0.5, is_admitted=True)


def test_its_own_target_is_asked_first_and_then_the_next_ones_that_go_on_from_a_text() -> None:
    gate = Refusing()
    choice = choice_of(FOUR, gate)
    assert resumes(choice, 5.0, 6.0, 7.0, 8.0) == [(0, 5.0), (2, 6.0), (3, 7.0), None]
    assert gate.asked == [(0, Purpose.RESUME, 5.0), (2, Purpose.RESUME, 6.0), (3, Purpose.RESUME, 7.0)]
    assert (choice.target, choice.num_attempts) == (3, 4)


def test_who_moved_the_answer_is_asked_first_again() -> None:
    choice = choice_of(FOUR, Refusing())
    assert resumes(choice, 5.0, 6.0) == [(0, 5.0), (2, 6.0)]
    choice.moved()
    assert resumes(choice, 7.0, 8.0, 9.0) == [(2, 7.0), (3, 8.0), (3, 9.0 + HALF)]


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        ((0,), [(2, 5.0), (3, 6.0), (3, 7.0 + HALF)]),
        ((2,), [(0, 5.0), (3, 6.0), (3, 7.0 + HALF)]),
        ((2, 3), [(0, 5.0), (0, 6.0 + HALF), (0, 7.0 + HALF)]),
        ((0, 2, 3), [None, None, None]),
    ],
)
def test_whom_the_gate_refuses_is_passed_over(
    refused: tuple[int, ...], expected: list[tuple[int, float] | None]
) -> None:
    assert resumes(choice_of(FOUR, Refusing(*refused)), 5.0, 6.0, 7.0) == expected


def test_without_others_there_are_pauses() -> None:
    plan = replace(FOUR, prefills=(), retry=RetryRule(backoff_s=2.0, max_backoff_s=8.0))
    assert resumes(choice_of(plan, Refusing()), 5.0, 6.0, 9.0, 20.0) == [(0, 5.0), (0, 7.0), (0, 11.0), None]


def test_one_that_is_busy_for_too_long_is_left_for_the_next_at_once() -> None:
    choice = choice_of(FOUR, Refusing())
    choice.busy(5.0, 3.1)
    assert resumes(choice, 5.0) == [(2, 5.0)]
    assert resumes(choice_of(replace(FOUR, prefills=()), Refusing()), 5.0) == [(0, 5.0)]
    waiting = choice_of(FOUR, Refusing())
    waiting.busy(5.0, 3.0)
    assert resumes(waiting, 5.0) == [(0, 8.0)]


def test_what_one_target_said_of_itself_is_not_held_against_the_next() -> None:
    choice = choice_of(replace(FOUR, prefills=(False, False, True)), Refusing(0))
    choice.busy(5.0, 3.0)
    assert resumes(choice, 5.0, 6.0) == [(2, 5.0), (2, 6.0 + HALF)]


def test_a_pause_that_ends_after_the_deadline_is_no_try() -> None:
    for instant, expected in ((95.9, (0, 95.9 + HALF)), (96.0, None)):
        choice = choice_of(replace(FOUR, prefills=()), Refusing())
        assert resumes(choice, 95.0, instant) == [(0, 95.0), expected]
    assert resumes(choice_of(FOUR, Refusing()), 100.0) == [None]


def test_attempts_are_bounded_over_all_targets() -> None:
    choice = choice_of(replace(FOUR, resume_tries=9, max_attempts=4), Refusing())
    assert resumes(choice, 5.0, 5.0, 5.0, 5.0) == [(0, 5.0), (2, 5.0), (3, 5.0), None]
