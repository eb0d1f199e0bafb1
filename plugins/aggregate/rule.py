"""When an exchange has heard enough: pure, and independent of the order in which branches answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from ...proxy.errors import GatewayError
from .branch import Branch
from .options import AggregateOptions


class Verdict(Enum):
    """What may still come of the branches."""

    OPEN = "open"
    MET = "met"
    LOST = "lost"


class Rule:
    """What a strategy needs of its branches.

    `first` needs one good answer, `quorum` its votes, the others an answer of whatever kind from each. Where branches
    are required, each strategy needs a good answer of these, and waits for no other that it does not need. A branch
    that was skipped because of a condition is not asked for anything.
    """

    __slots__ = ("_agree_on", "_branches", "_required", "_votes", "strategy")

    def __init__(self, branches: Sequence[Branch], options: AggregateOptions) -> None:
        self.strategy = options.strategy
        self._branches = [branch for branch in branches if branch.outcome != "skipped"]
        self._required = [branch for branch in self._branches if branch.options.required]
        self._agree_on = options.agree_on
        most = sum(branch.options.weight for branch in self._branches)
        self._votes = options.votes if options.votes is not None else most // 2 + 1

    def verdict(self) -> Verdict:
        """Say how it stands. Cost: linear in the branches; where they have to agree, in their answers."""
        if self.missing_required() is not None:
            return Verdict.LOST
        pending = [branch for branch in self._branches if branch.outcome is None]
        if self.strategy == "first":
            return Verdict.MET if any(branch.is_ok for branch in self._branches) else _unless(pending)
        if self.strategy == "quorum":
            return self._of_quorum(pending)
        waited = [branch for branch in self._required or self._branches if branch.outcome is None]
        return Verdict.OPEN if waited else Verdict.MET

    def _of_quorum(self, pending: Sequence[Branch]) -> Verdict:
        most = max(self._counts().values(), default=0)
        if most + _weight(pending) < self._votes:
            return Verdict.LOST
        is_whole = all(branch.is_ok for branch in self._required)
        return Verdict.MET if most >= self._votes and is_whole else Verdict.OPEN

    def _counts(self) -> Counter[bytes | str]:
        counts = Counter[bytes | str]()
        for branch in self._branches:
            if branch.is_ok:
                counts[self._compared(branch)] += branch.options.weight
        return counts

    def _compared(self, branch: Branch) -> bytes | str:
        if self._agree_on is None:
            return ""
        return branch.body if self._agree_on == "body" else branch.content

    def agreed(self) -> Branch:
        """Return the answer of a quorum that was met: of the branches that agree, the first in their order."""
        counts = self._counts()
        return next(b for b in self._branches if b.is_ok and counts[self._compared(b)] >= self._votes)

    def missing_required(self) -> Branch | None:
        """Return a required branch that has ended without a good answer; the first in order."""
        return next((branch for branch in self._required if branch.outcome not in (None, "ok")), None)

    def failure(self) -> GatewayError:
        """Return the error of a rule that was lost."""
        missing = self.missing_required()
        if missing is not None:
            return _failure_of(missing)
        detail = f"expected {self._votes} votes, got {max(self._counts().values(), default=0)}"
        late = [branch for branch in self._branches if branch.outcome == "timeout"]
        if max(self._counts().values(), default=0) + _weight(late) >= self._votes:
            return GatewayError("silent", f"{detail} in time")
        return GatewayError("no_agreement", detail)


def _unless(pending: Sequence[Branch]) -> Verdict:
    return Verdict.OPEN if pending else Verdict.LOST


def _weight(branches: Sequence[Branch]) -> int:
    return sum(branch.options.weight for branch in branches)


def _failure_of(branch: Branch) -> GatewayError:
    """Return the typed error of a required branch."""
    if branch.outcome == "timeout":
        return GatewayError("silent", f"required branch {branch.name}: no answer in time")
    if branch.error is not None:
        return GatewayError(branch.error.kind.name, f"required branch {branch.name}: {branch.error}")
    return GatewayError("unhealthy_status", f"required branch {branch.name}: status {branch.status}")
