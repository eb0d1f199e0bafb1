"""The outlier detection by example."""

from __future__ import annotations

import pytest

from headgate.proxy.upstream.health.member import MemberState
from headgate.proxy.upstream.health.outlier import OutlierDetector, OutlierSettings


def fail(detector: OutlierDetector[MemberState], member: MemberState, now: float, times: int = 3) -> list[bool]:
    return [detector.failed(member, now) for _ in range(times)]


@pytest.mark.parametrize(
    ("max_share", "num_members", "max_ejected"),
    [(0.5, 1, 0), (0.5, 2, 1), (0.5, 3, 1), (0.5, 4, 2), (0.1, 2, 1), (0.1, 30, 3), (0.0, 30, 0), (1.0, 3, 3)],
)
def test_how_many_may_be_out(max_share: float, num_members: int, max_ejected: int) -> None:
    assert OutlierSettings(max_share=max_share).max_ejected(num_members) == max_ejected


def test_the_third_failure_in_a_row_ejects_and_says_so() -> None:
    members = [MemberState(), MemberState()]
    detector = OutlierDetector(OutlierSettings(), members)
    assert fail(detector, members[0], 0.0, times=5) == [False, False, True, False, False]
    assert detector.eligible(0.0) == [members[1]]


def test_a_success_between_failures_keeps_it_in() -> None:
    members = [MemberState(), MemberState()]
    detector = OutlierDetector(OutlierSettings(failures=2), members)
    for _ in range(3):
        assert not detector.failed(members[0], 0.0)
        detector.succeeded(members[0])
    assert fail(detector, members[0], 0.0, times=2) == [False, True]


def test_where_nobody_has_tuned_it_half_of_them_may_be_out_and_with_fewer_than_half_all_are_asked() -> None:
    members = [MemberState() for _ in range(4)]
    detector = OutlierDetector(OutlierSettings(), members)
    assert [fail(detector, member, 0.0)[2] for member in members] == [True, True, False, False]
    assert detector.eligible(0.0) == members[2:]
    detector.checked(members[2], False, 0.0)
    assert detector.eligible(0.0) is members


def test_one_that_fails_on_after_its_ejection_is_out_for_longer_each_time_up_to_a_minute() -> None:
    members = [MemberState(), MemberState()]
    detector, now, spans = OutlierDetector(OutlierSettings(), members), 0.0, []
    for _ in range(8):
        assert fail(detector, members[0], now) == [False, False, True], "three failures of its own each time"
        assert members[0].ejected_until is not None
        spans.append(members[0].ejected_until - now)
        now = members[0].ejected_until
    assert spans == [10, 20, 30, 40, 50, 60, 60, 60]


def test_an_ejection_is_forgotten_for_each_minute_without_one() -> None:
    members = [MemberState(), MemberState()]
    detector = OutlierDetector(OutlierSettings(), members)
    for now in (0.0, 10.0, 30.0):
        fail(detector, members[0], now)  # out until 10, 30, 60
    fail(detector, members[0], 180.0)
    assert members[0].ejected_until == 200.0, "two of three forgotten: the second"
    fail(detector, members[0], 10_000.0)
    assert members[0].ejected_until == 10_010.0


def test_whoever_is_in_again_is_known_since_when() -> None:
    members = [MemberState(), MemberState()]
    detector = OutlierDetector(OutlierSettings(), members)
    fail(detector, members[0], 0.0)
    detector.checked(members[1], False, 5.0)
    detector.checked(members[1], True, 7.0)
    assert detector.eligible(25.0) is members
    assert [member.well_since for member in members] == [10.0, 7.0]


def test_whoever_checks_find_bad_is_not_asked_until_they_find_it_well() -> None:
    members = [MemberState() for _ in range(3)]
    detector, seen = OutlierDetector(OutlierSettings(), members), []
    for place, is_well in ((0, False), (0, False), (1, False), (1, True), (0, True)):
        detector.checked(members[place], is_well, 0.0)
        eligible = detector.eligible(0.0)
        seen.append((detector.num_healthy(0.0), [members.index(member) for member in eligible]))
    assert seen == [(2, [1, 2]), (2, [1, 2]), (1, [0, 1, 2]), (2, [1, 2]), (3, [0, 1, 2])]


def test_an_ejection_is_forgotten_from_its_end_on_though_nobody_looked() -> None:
    members = [MemberState(), MemberState()]
    detector = OutlierDetector(OutlierSettings(), members)
    fail(detector, members[0], 0.0)  # out until 10
    detector.checked(members[0], False, 100.0)
    detector.checked(members[0], True, 101.0)
    fail(detector, members[0], 102.0)
    assert members[0].ejected_until == 112.0


def test_checks_that_find_it_well_again_end_its_ejection() -> None:
    members = [MemberState(), MemberState()]
    detector = OutlierDetector(OutlierSettings(), members)
    fail(detector, members[0], 0.0)
    detector.checked(members[0], True, 1.0)
    assert detector.num_ejected(1.0) == 1, "they never found it bad: that is no news"
    detector.checked(members[0], False, 2.0)
    detector.checked(members[0], True, 4.0)
    assert (detector.num_ejected(4.0), members[0].well_since, members[0].num_failures) == (0, 4.0, 0)


def test_the_only_one_left_is_asked_even_with_a_panic_threshold_of_nothing() -> None:
    members = [MemberState(), MemberState()]
    detector = OutlierDetector(OutlierSettings(panic=0.0), members)
    for member in members:
        detector.checked(member, False, 0.0)
    assert detector.eligible(0.0) is members
