"""P19, P20: who is left out and for how long, and who is picked."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headgate.proxy.upstream.cluster import Cluster, ClusterSettings, Member
from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.health.outcome import Outcome
from headgate.proxy.upstream.health.outlier import OutlierSettings
from headgate.proxy.upstream.health.settings import HealthSettings

OUTLIERS = st.builds(
    OutlierSettings,
    failures=st.integers(1, 3),
    base_s=st.sampled_from((5.0, 10.0)),
    max_s=st.sampled_from((10.0, 30.0, 60.0)),
    max_share=st.sampled_from((0.0, 0.25, 0.5, 1.0)),
    panic=st.sampled_from((0.0, 0.5, 1.0)),
)


def cluster_of(num_members: int, outlier: OutlierSettings, seed: int = 1, slow_start_s: float = 10.0) -> Cluster:
    endpoints = tuple(Endpoint("127.0.0.1", 1000 + place) for place in range(num_members))
    health = HealthSettings(outlier=outlier, slow_start_s=slow_start_s)
    return Cluster(ClusterSettings("c", endpoints, health=health), random.Random(seed).random)


@dataclass
class Known:
    """What the reference keeps of one member: whole history, nothing counted ahead."""

    streak: int = 0
    is_bad: bool = False
    ejections: list[tuple[float, float]] = field(default_factory=list)  # from, until
    recoveries: list[float] = field(default_factory=list)  # by checks

    def is_out(self, now: float) -> bool:
        return bool(self.ejections) and now < self.ejections[-1][1]

    def well_since(self, now: float) -> float | None:
        ends = [end for _, end in self.ejections if end <= now]
        return max(ends + self.recoveries, default=None)

    def next_number(self, now: float, max_s: float) -> int:
        """The number of an ejection at `now`: one is forgotten for each `max_s` spent in."""
        number, last = 0, now
        for start, end in [*self.ejections, (now, now)]:
            if number:
                number = max(0, number - int((start - last) / max_s))
            number, last = number + 1, end
        return number


class Members(RuleBasedStateMachine):
    """A cluster beside a reference, under any order of picks, reports, checks and time."""

    @initialize(num=st.integers(1, 6), outlier=OUTLIERS, seed=st.integers(0, 1000))
    def begin(self, num: int, outlier: OutlierSettings, seed: int) -> None:
        self.now = 50
        self.outlier = outlier
        self.cluster = cluster_of(num, outlier, seed)
        self.known = {member: Known() for member in self.cluster.members}
        self.open: list[Member] = []
        self.num_picks = 0
        self.num_ended = 0

    @rule(seconds=st.integers(0, 4) | st.integers(0, 90))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(tried=st.sets(st.integers(0, 5)))
    def pick(self, tried: set[int]) -> None:
        members = {member for place, member in enumerate(self.cluster.members) if place in tried}
        chosen = self.cluster.pick(members, self.now)
        eligible = self.eligible()
        assert chosen in eligible, "neither ejected nor found bad, but in a panic"
        assert chosen not in members or not eligible - members, "one already tried only where no other is there"
        self.look()
        self.open.append(chosen)
        self.num_picks += 1

    @rule()
    def look(self) -> None:
        """Not after each step: what is out of date is found by whoever comes next."""
        assert set(self.cluster.outlier.eligible(self.now)) == self.eligible()
        num_out = sum(known.is_bad or known.is_out(self.now) for known in self.known.values())
        assert self.cluster.outlier.is_calm is (num_out == 0)
        assert [m.well_since for m in self.known] == [known.well_since(self.now) for known in self.known.values()]

    def eligible(self) -> set[Member]:
        healthy = {m for m, known in self.known.items() if not known.is_bad and not known.is_out(self.now)}
        is_panic = not healthy or len(healthy) < self.outlier.panic * len(self.known)
        return set(self.known) if is_panic else healthy

    @precondition(lambda self: self.open)
    @rule(place=st.integers(0, 1000), outcome=st.sampled_from(Outcome), latency_s=st.sampled_from((None, 0.1, 3.0)))
    def end(self, place: int, outcome: Outcome, latency_s: float | None) -> None:
        member = self.open.pop(place % len(self.open))
        member.num_active -= 1
        self.num_ended += 1
        if latency_s is not None:
            self.cluster.observe(member, latency_s, self.now)
        self.cluster.report(member, outcome, self.now)
        if outcome is not Outcome.NEUTRAL:
            self.count(self.known[member], outcome is Outcome.OK)

    @rule(place=st.integers(0, 5), times=st.integers(1, 4))
    def fail(self, place: int, times: int) -> None:
        """Attempts that began some time ago fail, one after the other."""
        member = self.cluster.members[place % len(self.known)]
        for _ in range(times):
            self.cluster.report(member, Outcome.FAILED, self.now)
            self.count(self.known[member], False)

    def count(self, known: Known, is_ok: bool) -> None:
        if known.is_out(self.now) or known.is_bad:
            return
        known.streak = 0 if is_ok else known.streak + 1
        num_out = sum(other.is_out(self.now) for other in self.known.values())
        limit = 0 if len(self.known) == 1 or not self.outlier.max_share else max(1, self.share_of_members())
        if known.streak >= self.outlier.failures and num_out < limit:
            number = known.next_number(self.now, self.outlier.max_s)
            known.ejections.append((self.now, self.now + min(self.outlier.max_s, self.outlier.base_s * number)))
            known.streak = 0

    def share_of_members(self) -> int:
        return int(self.outlier.max_share * len(self.known))

    @rule(place=st.integers(0, 5), is_well=st.booleans())
    def check(self, place: int, is_well: bool) -> None:
        member = self.cluster.members[place % len(self.known)]
        self.cluster.outlier.checked(member, is_well, self.now)
        known = self.known[member]
        if known.is_bad and is_well:
            known.streak = 0
            known.recoveries.append(self.now)
            if known.is_out(self.now):
                known.ejections[-1] = (known.ejections[-1][0], self.now)
        known.is_bad = not is_well

    @invariant()
    def p19_ejections_are_those_of_the_reference(self) -> None:
        for member, known in self.known.items():
            assert (member.ejected_until is not None and self.now < member.ejected_until) is known.is_out(self.now)
            assert not known.is_out(self.now) or member.ejected_until == known.ejections[-1][1]
        num_out = sum(known.is_out(self.now) for known in self.known.values())
        num_bad = sum(known.is_bad or known.is_out(self.now) for known in self.known.values())
        assert self.cluster.outlier.num_ejected(self.now) == num_out
        assert self.cluster.outlier.num_healthy(self.now) == len(self.known) - num_bad

    @invariant()
    def p19_calm_are_only_clusters_whose_members_are_all_healthy(self) -> None:
        num_healthy = self.cluster.outlier.num_healthy(self.now)
        assert not self.cluster.outlier.is_calm or num_healthy == len(self.known)

    @invariant()
    def p19_at_most_a_share_or_one_is_out(self) -> None:
        num_out = self.cluster.outlier.num_ejected(self.now)
        assert num_out <= max(self.outlier.max_share * len(self.known), 1)
        assert len(self.known) > 1 or not num_out

    @invariant()
    def p20_picks_sum_to_attempts(self) -> None:
        assert sum(member.num_active for member in self.cluster.members) == len(self.open)
        assert self.num_picks - self.num_ended == len(self.open)


Members.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestP19AndP20 = Members.TestCase


@given(OUTLIERS, st.integers(1, 50))
def test_p19_an_ejection_lasts_longer_with_each_up_to_its_cap(outlier: OutlierSettings, number: int) -> None:
    assert outlier.ejection_s(number) <= outlier.ejection_s(number + 1) <= outlier.max_s


def work_through(cluster: Cluster, num_requests: int, width: int) -> list[int]:
    """Keep `width` attempts under way, ended in any order; return how often each member was picked."""
    chance, counts, active = random.Random(7), dict.fromkeys(cluster.members, 0), list[Member]()
    for _ in range(num_requests):
        if len(active) >= width:
            ended = active.pop(chance.randrange(len(active)))
            ended.num_active -= 1
            cluster.observe(ended, 0.1, 1.0)
            cluster.report(ended, Outcome.OK, 1.0)
        active.append(cluster.pick((), 1.0))
        counts[active[-1]] += 1
    return list(counts.values())


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_p20_weights_are_honoured_under_load(weights: list[int], seed: int) -> None:
    """As far as two choices reach: a member is among the two drawn in 2 of n picks, so it gets no more than these."""
    assume(max(weights) / sum(weights) <= 1.6 / len(weights))
    cluster = cluster_of(len(weights), OutlierSettings(), seed)
    for member, weight in zip(cluster.members, weights, strict=True):
        member.weight = weight
    counts = work_through(cluster, 3000, 10 * sum(weights))
    for count, weight in zip(counts, weights, strict=True):
        share = weight / sum(weights)
        assert abs(count / 3000 - share) <= 0.35 * share


@given(st.integers(2, 8), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_p20_a_burst_does_not_fall_on_one_member(num_members: int, seed: int) -> None:
    """Every pick is counted before the next: at one instant all of them share the burst."""
    cluster = cluster_of(num_members, OutlierSettings(), seed)
    for _ in range(50 * num_members):
        cluster.pick((), 0.0)
    assert all(abs(member.num_active - 50) <= 5 for member in cluster.members)


@given(st.lists(st.floats(0, 15), min_size=2, max_size=20), st.sampled_from((0.0, 0.5, 10.0)))
def test_p20_slow_start_grows_from_its_least_share_to_one(instants: list[float], slow_start_s: float) -> None:
    cluster = cluster_of(3, OutlierSettings(), slow_start_s=slow_start_s)
    member, other = cluster.members[:2]
    assert cluster.balancer.slow_start(other, 0.0) == 1.0, "not for one that had no trouble"
    cluster.outlier.checked(member, False, 90.0)
    cluster.outlier.checked(member, True, 100.0)
    shares = [cluster.balancer.slow_start(member, 100 + instant) for instant in sorted(instants)]
    assert shares == sorted(shares)
    assert all(0.1 <= share <= 1.0 for share in shares)
    assert cluster.balancer.slow_start(member, 100 + slow_start_s) == 1.0


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 5)), min_size=1, max_size=30))
def test_p20_a_spike_counts_at_once_and_fades(samples: list[tuple[float, float]]) -> None:
    cluster, now = cluster_of(3, OutlierSettings()), 0.0
    member, other, unknown = cluster.members
    cluster.balancer.observe(other, 0.5, now)
    for wait_s, latency_s in samples:
        now += wait_s
        cluster.balancer.observe(member, latency_s, now)
        assert cluster.balancer.cost(member, now) >= min(latency_s, 5.0) - 1e-9
    slowest = max(latency_s for _, latency_s in samples)
    assert cluster.balancer.cost(member, now) <= max(slowest, 1e-6) + 1e-9
    mean_s = cluster.balancer.cost(unknown, now)
    assert abs(cluster.balancer.cost(member, now + 200) - mean_s) < 1e-6
    assert abs(cluster.balancer.cost(other, now + 200) - mean_s) < 1e-6
