"""The machine's gate: breakers, budgets and the health of endpoints behind the targets of one exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..exchange.attempt import Attempt, Purpose
from ..exchange.gate import OK, Report
from ..verdicts import Target
from .cluster import Cluster, Member
from .health.breaker import Admission, Breaker
from .health.outcome import Outcome

# An enumeration's members are slow to look up, and these are asked for with every request.
_FIRST, _RESUME = Purpose.FIRST, Purpose.RESUME
_OPEN, _PROBE = Admission.OPEN, Admission.PROBE

_OUTCOMES = {
    Report.FAILED: Outcome.FAILED,
    Report.SILENT: Outcome.FAILED,
    Report.DOWN: Outcome.NEUTRAL,
    Report.NEUTRAL: Outcome.NEUTRAL,
}


class Ticket:
    """What one attempt was given. `member` is the endpoint, once one was picked.

    `is_forced`: it may be made although the breaker is open, or ramping.
    """

    __slots__ = ("breaker", "cluster", "is_forced", "is_probe", "member", "number")

    def __init__(self, cluster: Cluster, breaker: Breaker, is_probe: bool, is_forced: bool = False) -> None:
        self.cluster = cluster
        self.breaker = breaker
        self.number = breaker.ticket
        self.is_probe = is_probe
        self.is_forced = is_forced
        self.member: Member | None = None
        breaker.num_under_way += 1


class ClusterGate:
    """Admits attempts at `targets`, and passes on how they ended.

    `continuing` are the targets that could go on with the committed answer; None: that is not known.
    """

    __slots__ = ("_clusters", "_forced", "_is_hurried", "_targets", "continuing")

    def __init__(self, targets: Sequence[Target], clusters: Mapping[str, Cluster], *, is_hurried: bool = False) -> None:
        self._targets = targets
        self._clusters = clusters
        self._is_hurried = is_hurried
        self._forced: int | None = None  # the target that is asked although its breaker is open
        self.continuing: tuple[int, ...] | None = None

    def admit(self, target: int, purpose: Purpose, now: float) -> Ticket | None:
        """Take what an attempt needs; None where it would be in vain, the breaker is open, or the budget used up."""
        if purpose is _RESUME and self.continuing is not None and target not in self.continuing:
            return None
        wanted = self._targets[target]
        cluster = self._clusters[wanted.cluster]
        breaker = cluster.breaker(wanted.model)
        if purpose is not _FIRST:
            return self._further(target, purpose, cluster, breaker, now)
        is_probe = False
        if not breaker.is_calm:
            admission = breaker.admit(now)
            if admission is _OPEN:
                return None
            is_probe = admission is _PROBE
        cluster.first_attempts.add(now)
        return Ticket(cluster, breaker, is_probe)

    def _further(self, target: int, purpose: Purpose, cluster: Cluster, breaker: Breaker, now: float) -> Ticket | None:
        if purpose is Purpose.HEDGE:
            is_spare = breaker.peek(now) is Admission.CLOSED and cluster.hedges.withdraw(now)
            return Ticket(cluster, breaker, False) if is_spare else None
        if purpose is Purpose.FORCED:
            self._forced = target
        # Who was let through to a target out of order may also replace a kept connection that was closed.
        is_forced = purpose is not Purpose.RETRY or self._forced == target
        return self._again(purpose, cluster, breaker, now, is_forced=is_forced)

    def _again(
        self, purpose: Purpose, cluster: Cluster, breaker: Breaker, now: float, *, is_forced: bool
    ) -> Ticket | None:
        if not is_forced and breaker.peek(now) is Admission.OPEN:
            return None
        is_reserved = purpose is Purpose.FORCED and not cluster.budget.remaining(now) >= 1
        if not (cluster.reserve if is_reserved else cluster.budget).withdraw(now):
            return None
        if not is_forced:
            return Ticket(cluster, breaker, breaker.admit(now) is Admission.PROBE)
        breaker.forced(now)
        return Ticket(cluster, breaker, False, purpose is not _RESUME)

    def began(self, attempt: Attempt, now: float) -> None:
        """The answer has begun: a sample for the balancer, and all that a probe, or one that was forced, found out."""
        ticket = attempt.ticket
        if not isinstance(ticket, Ticket):
            return
        if ticket.member is not None:
            ticket.cluster.observe(ticket.member, now - attempt.at, now)
        breaker = ticket.breaker
        if breaker.is_calm:
            return
        if ticket.is_probe:
            breaker.succeeded(now, ticket.number)
        else:
            breaker.answers(now, ticket.number, is_forced=ticket.is_forced)

    def ended(self, attempt: Attempt, report: Report, now: float) -> None:
        """The attempt is over."""
        ticket = attempt.ticket
        if not isinstance(ticket, Ticket):
            return
        ticket.breaker.num_under_way -= 1
        if report is not OK:
            self._ended_badly(ticket, report, now)
            return
        # Mostly there is nothing that a success could make good.
        member, breaker = ticket.member, ticket.breaker
        if member is not None and member.num_failures:
            ticket.cluster.report(member, Outcome.OK, now)
        if not breaker.is_calm:
            breaker.succeeded(now, ticket.number, is_forced=ticket.is_forced)

    def _ended_badly(self, ticket: Ticket, report: Report, now: float) -> None:
        if report is Report.SILENT and self._is_hurried:
            report = Report.NEUTRAL  # or one client in a hurry could put a slow target out of order for all
        if ticket.member is not None:
            ticket.cluster.report(ticket.member, _OUTCOMES[report], now)
        if report is Report.NEUTRAL:
            ticket.breaker.abandoned(now, ticket.number)
        elif report is Report.DOWN:
            ticket.breaker.refused(now, ticket.number)
        else:
            ticket.breaker.failed(now, ticket.number, ticket.member)
