"""Everything that a cluster's configuration says about health."""

from __future__ import annotations

from dataclasses import dataclass, field

from .breaker import BreakerSettings
from .budget import BudgetSettings
from .outlier import OutlierSettings


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """Active checks of every member.

    `num_unhealthy` failures in a row make a member bad, `num_healthy` successes in a row well again. Without `statuses`
    200 to 399 are a success.
    """

    path: str = "/health"
    interval_s: float = 1.0
    timeout_s: float = 1.0
    num_healthy: int = 2
    num_unhealthy: int = 2
    statuses: frozenset[int] = frozenset()

    def is_expected(self, status: int) -> bool:
        """Whether an answer of this status is a success."""
        return status in self.statuses if self.statuses else 200 <= status <= 399


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """How a cluster watches over its endpoints and targets. Without `check` they get traffic only."""

    outlier: OutlierSettings = field(default_factory=OutlierSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    slow_start_s: float = 10.0
    check: CheckSettings | None = None
