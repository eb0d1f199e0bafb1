"""The balancer by example."""

from __future__ import annotations

import random
from math import exp

import pytest

from headgate.proxy.upstream.health.balancer import Balancer
from headgate.proxy.upstream.health.member import MemberState


def balancer() -> Balancer[MemberState]:
    return Balancer(10.0, random.Random(3).random)


def test_the_slower_one_is_picked_once_the_faster_one_is_as_many_times_busier() -> None:
    chooser, members = balancer(), [MemberState(), MemberState()]
    chooser.observe(members[0], 0.1, 0.0)
    chooser.observe(members[1], 0.4, 0.0)
    picked = []
    for _ in range(10):
        chosen = chooser.choose(members, 0.0)
        chosen.num_active += 1
        picked.append(members.index(chosen))
    assert picked.count(0) == 8


def test_a_member_without_a_sample_costs_as_much_as_the_mean() -> None:
    chooser, members = balancer(), [MemberState(), MemberState(), MemberState()]
    assert chooser.cost(members[0], 0.0) == chooser.cost(members[1], 0.0) > 0
    chooser.observe(members[0], 0.1, 0.0)
    chooser.observe(members[1], 0.3, 0.0)
    assert chooser.cost(members[2], 0.0) == pytest.approx(0.2)


def test_before_the_first_sample_no_member_is_expected_to_be_slow() -> None:
    assert 0 < balancer().cost(MemberState(), 0.0) < 0.001


def test_the_mean_is_that_of_the_last_samples() -> None:
    chooser, member, unknown = balancer(), MemberState(), MemberState()
    for number in range(800):
        chooser.observe(member, 1.0 if number < 500 else 0.1, 10.0)
    assert 0.1 <= chooser.cost(unknown, 10.0) < 0.11
    chooser.observe(member, 0.3, 900.0)
    assert chooser.cost(member, 900.0) == pytest.approx(0.3)


def test_a_sample_is_a_sixty_fourth_of_the_mean_once_there_are_as_many() -> None:
    chooser, member, unknown = balancer(), MemberState(), MemberState()
    for _ in range(63):
        chooser.observe(member, 1.0, 0.0)
    for latency_s, mean_s in ((65.0, 2.0), (66.0, 3.0)):
        chooser.observe(member, latency_s, 0.0)
        assert chooser.cost(unknown, 0.0) == pytest.approx(mean_s)


def test_faster_samples_pull_a_peak_down_within_tens_of_seconds() -> None:
    chooser, member, kept = balancer(), MemberState(), exp(-1)
    chooser.observe(member, 5.0, 100.0)
    chooser.observe(member, 1.0, 110.0)
    assert chooser.cost(member, 110.0) == pytest.approx(5 * kept + 1 * (1 - kept))


def test_without_news_it_drifts_to_the_mean_within_tens_of_seconds() -> None:
    chooser, member, other, kept = balancer(), MemberState(), MemberState(), exp(-1)
    for _ in range(3):
        chooser.observe(other, 1.0, 100.0)
    chooser.observe(member, 5.0, 100.0)
    assert chooser.cost(member, 110.0) == pytest.approx(5 * kept + 2 * (1 - kept))


def test_a_spike_counts_in_full_and_is_forgotten_with_time() -> None:
    chooser, member, other = balancer(), MemberState(), MemberState()
    for _ in range(64):
        chooser.observe(other, 0.1, 0.0)
    chooser.observe(member, 0.1, 0.0)
    chooser.observe(member, 5.0, 1.0)
    assert chooser.cost(member, 1.0) == pytest.approx(5.0)
    chooser.observe(member, 0.1, 1.0)
    assert chooser.cost(member, 1.0) == pytest.approx(5.0), "a fast one at the same instant is no news"
    assert 1.0 < chooser.cost(member, 11.0) < 2.2
    assert chooser.cost(member, 61.0) < 0.2


def test_one_that_never_answers_does_not_grow_cheap() -> None:
    chooser, silent, other = balancer(), MemberState(), MemberState()
    chooser.observe(silent, 0.1, 0.0)
    chooser.observe(other, 0.1, 600.0)
    silent.num_active, other.num_active = 50, 5
    assert chooser.choose([silent, other], 600.0) is other


def test_slow_start_holds_back_one_that_is_well_again() -> None:
    chooser, back, other = balancer(), MemberState(), MemberState()
    back.well_since = 100.0
    active = {100.0: 0, 105.0: 0, 110.0: 0}
    for now in active:
        back.num_active = other.num_active = 0
        for _ in range(110):
            chooser.choose([back, other], now).num_active += 1
        active[now] = back.num_active
    assert active == {100.0: 10, 105.0: pytest.approx(37, abs=1), 110.0: 55}
