"""What clients are told of a limit: fields of answers, and why a request is refused."""

from __future__ import annotations

from collections.abc import Sequence

from .amounts import UNITS, Amounts, money
from .config import LimitConfig
from .ledger import Standing
from .periods import period_of, written

Fields = tuple[tuple[str, str], ...]

_QUOTA_UNITS = ("requests", "tokens", "millionths")
_COST = UNITS.index("cost")
_RETRY_AFTER_S = 3600  # who has to wait for longer is told the instant, in words


class Told:
    """One limit as clients are told of it."""

    __slots__ = ("_by", "_limited", "_limits", "_per", "_policies", "name")

    def __init__(self, plugin: str, config: LimitConfig) -> None:
        self._by, self._per, self._limits = config.by, config.per, config.limits
        self.name = f"{config.by}/{config.per}"
        self._limited = [
            (unit, f'"{plugin}/{self.name}/{name}"', limit)
            for unit, (name, limit) in enumerate(zip(_QUOTA_UNITS, self._limits, strict=True))
            if limit is not None
        ]
        self._policies: tuple[int, str] = (0, "")  # of the period asked for last

    def policy(self, standing: Standing) -> str:
        """Return the members of RateLimit-Policy. Source: draft-ietf-httpapi-ratelimit-headers-10 §3."""
        number, text = self._policies
        if number != standing.number:
            number, begin_s, end_s = period_of(self._per, standing.number)
            window = "" if end_s is None else f";w={end_s - begin_s}"
            members = (f'{label};q={limit};qu="{_QUOTA_UNITS[unit]}"{window}' for unit, label, limit in self._limited)
            text = ", ".join(members)
            self._policies = number, text
        return text

    def state(self, standing: Standing, now_s: float) -> str:
        """Return the members of RateLimit: what is left, and the seconds until it is renewed. Source: as above, §4."""
        end_s, charged = self.renewed_s(standing), standing.charged
        renewed = "" if end_s is None else f";t={_wait_s(end_s, now_s)}"
        return ", ".join(
            [f"{label};r={max(0, limit - charged[unit])}{renewed}" for unit, label, limit in self._limited]
        )

    def renewed_s(self, standing: Standing) -> int | None:
        """Return the instant at which an account has its whole quota again; None: never."""
        return period_of(self._per, standing.number).end_s

    def refusal(self, standing: Standing, unit: int, amounts: Amounts) -> str:
        """Return why a request is refused."""
        limit = self._limits[unit] or 0
        needed, left = (_amount(unit, number) for number in (amounts[unit], max(0, limit - standing.charged[unit])))
        return f"{self._quota(unit)}, {left} left, and this needs {needed}: {self._renewal(standing)}"

    def stop(self, standing: Standing, unit: int) -> str:
        """Return why an answer ends."""
        return f"{self._quota(unit)}, and used up within this answer: {self._renewal(standing)}"

    def _quota(self, unit: int) -> str:
        span = "in total" if self._per == "total" else f"a {self._per}"
        return f"the quota of this {self._by} is {_amount(unit, self._limits[unit] or 0)} {span}"

    def _renewal(self, standing: Standing) -> str:
        end_s = self.renewed_s(standing)
        return "it is not renewed" if end_s is None else f"it is renewed at {written(end_s)}"

    def is_possible(self, unit: int, amounts: Amounts) -> bool:
        """Whether a whole quota would do for a request."""
        return amounts[unit] <= (self._limits[unit] or 0)


def fields_of(told: Sequence[Told], standings: Sequence[Standing], now_s: float) -> Fields:
    """Return the fields that tell of all limits."""
    pairs = list(zip(told, standings, strict=True))
    return (
        ("RateLimit-Policy", ", ".join([each.policy(standing) for each, standing in pairs])),
        ("RateLimit", ", ".join([each.state(standing, now_s) for each, standing in pairs])),
    )


def retry_after(end_s: int | None, now_s: float) -> Fields:
    """Return the field that says when to come back, where that is within an hour."""
    wait_s = None if end_s is None else _wait_s(end_s, now_s)
    return () if wait_s is None or wait_s > _RETRY_AFTER_S else (("Retry-After", str(wait_s)),)


def _wait_s(end_s: int, now_s: float) -> int:
    return max(1, -int(-(end_s - now_s) // 1))


def _amount(unit: int, number: int) -> str:
    return money(number) + " of money" if unit == _COST else f"{number} {UNITS[unit]}"
