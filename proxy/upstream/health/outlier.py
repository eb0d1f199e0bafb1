"""Ejects endpoints that fail while others of their cluster do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .member import MemberState

AnyMember = TypeVar("AnyMember", bound=MemberState)


@dataclass(frozen=True, slots=True)
class OutlierSettings:
    """When an endpoint is ejected, and for how long.

    After `failures` in a row it is out for `base_s` times the number of its ejections, at most `max_s`; one of them is
    forgotten for each `max_s` that it is in. At most `max_share` of the members are out (but one may be, unless it is
    the only one; with 0 none). With a share of healthy ones below `panic` all are eligible.
    """

    failures: int = 3
    base_s: float = 10.0
    max_s: float = 60.0
    max_share: float = 0.5
    panic: float = 0.5

    def ejection_s(self, num_ejections: int) -> float:
        """Return how long the ejection of this number lasts."""
        return min(self.max_s, self.base_s * num_ejections)

    def max_ejected(self, num_members: int) -> int:
        """Return how many of so many members may be out at once."""
        if num_members < 2 or self.max_share <= 0:
            return 0
        return max(1, int(self.max_share * num_members + 1e-9))


class OutlierDetector(Generic[AnyMember]):
    """Which members of one cluster are healthy: not ejected, and not found bad by active checks.

    Checks may find any number of members bad; the share that bounds ejections does not bound them, the panic threshold
    serves both. While a member is out nothing is counted against it. `is_calm`: all were healthy when this was last
    looked at, so `eligible` would return all.
    """

    __slots__ = ("_ejected", "_max_ejected", "_members", "_num_bad", "_settings", "is_calm")

    def __init__(self, settings: OutlierSettings, members: Sequence[AnyMember]) -> None:
        self._settings = settings
        self._members = members
        self._max_ejected = settings.max_ejected(len(members))
        self._ejected: list[AnyMember] = []
        self._num_bad = 0
        self.is_calm = True

    def succeeded(self, member: AnyMember) -> None:
        """An attempt at `member` succeeded."""
        member.num_failures = 0

    def failed(self, member: AnyMember, now: float) -> bool:
        """An attempt at `member` failed by its own fault; return whether it is ejected for that."""
        self._settle(now)
        if member in self._ejected or member.is_checked_bad:
            return False
        member.num_failures += 1
        # Where too many are out already it stays in, and its next failure asks again.
        if member.num_failures < self._settings.failures or len(self._ejected) >= self._max_ejected:
            return False
        self._eject(member, now)
        return True

    def checked(self, member: AnyMember, is_well: bool, now: float) -> None:
        """Active checks have found `member` well or bad. One that was bad and is well again is in at once."""
        self._settle(now)
        if member.is_checked_bad is not is_well:
            return
        member.is_checked_bad = not is_well
        self._num_bad += -1 if is_well else 1
        if is_well:
            if member in self._ejected:
                self._ejected.remove(member)
                member.ejected_until = now
            member.num_failures = 0
            member.well_since = now
        self._note()

    def eligible(self, now: float) -> Sequence[AnyMember]:
        """Return the members that may be asked: the healthy ones, or all in a panic. Never empty.

        Cost: O(1) while all are healthy, else O(members).
        """
        if not self.is_calm:
            self._settle(now)
        if self.is_calm:
            return self._members
        healthy = [member for member in self._members if self._is_healthy(member, now)]
        is_panic = not healthy or len(healthy) < self._settings.panic * len(self._members) - 1e-9
        return self._members if is_panic else healthy

    def num_healthy(self, now: float) -> int:
        """Return how many members are neither ejected nor found bad. Cost: O(members)."""
        return sum(self._is_healthy(member, now) for member in self._members)

    def num_ejected(self, now: float) -> int:
        """Return how many members are ejected. Cost: O(ejected)."""
        return sum(_is_out(member, now) for member in self._ejected)

    def _is_healthy(self, member: AnyMember, now: float) -> bool:
        return not member.is_checked_bad and not _is_out(member, now)

    def _eject(self, member: AnyMember, now: float) -> None:
        settings = self._settings
        if member.ejected_until is not None:
            num_forgotten = int((now - member.ejected_until) / settings.max_s)
            member.num_ejections = max(0, member.num_ejections - num_forgotten)
        member.num_ejections += 1
        member.ejected_until = now + settings.ejection_s(member.num_ejections)
        self._ejected.append(member)
        self._note()

    def _settle(self, now: float) -> None:
        """Take members in whose ejection is over."""
        for member in [member for member in self._ejected if not _is_out(member, now)]:
            self._ejected.remove(member)
            member.num_failures = 0
            member.well_since = member.ejected_until
            self._note()

    def _note(self) -> None:
        self.is_calm = not self._ejected and not self._num_bad


def _is_out(member: MemberState, now: float) -> bool:
    return member.ejected_until is not None and now < member.ejected_until
