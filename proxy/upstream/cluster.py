"""A named group of endpoints: who of them is asked, and how they do."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..exchange.plan import Timeouts
from ..verdicts import Target
from .endpoint import Endpoint
from .health.active_check import ActiveCheck
from .health.balancer import Balancer
from .health.breaker import Breaker
from .health.budget import RetryBudget
from .health.member import MemberState
from .health.outcome import Outcome
from .health.outlier import OutlierDetector
from .health.settings import HealthSettings
from .pool import ConnectionPool, PoolLimits

MAX_BREAKERS = 256
MAX_FAILURE_CHARACTERS = 500
_HEDGE_RATIO, _HEDGE_FLOOR_PER_S = 0.1, 1.0  # of the requests; a second
_RESERVE_WINDOW_S = 1.0
_OK = Outcome.OK  # an enumeration's members are slow to look up
_log = logging.getLogger("headgate")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What every request to a cluster gets.

    `credential` is a whole field that replaces the client's; `set_fields` and `removed_fields` come after it.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    timeouts: Timeouts = field(default_factory=Timeouts)
    pool: PoolLimits = field(default_factory=PoolLimits)
    credential: tuple[str, str] | None = None
    set_fields: tuple[tuple[str, str], ...] = ()
    removed_fields: tuple[str, ...] = ()
    is_host_preserved: bool = False
    health: HealthSettings = field(default_factory=HealthSettings)


class Member(MemberState):
    """One endpoint of a cluster with its connections. `num_active` counts attempts from the pick on."""

    __slots__ = ("endpoint", "pool")

    def __init__(self, endpoint: Endpoint, limits: PoolLimits) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.pool = ConnectionPool(endpoint, limits)


class Cluster:
    """Endpoints with their pools and their health. Kept over reloads while its settings are the same.

    `budget` bounds retries over all exchanges, `hedges` attempts beside slow ones; each is a share of `first_attempts`.
    `reserve` is for attempts at a target out of order, once retries have used the budget up: nobody else would find out
    that it is well again. `has_choice`: there is more than one endpoint.
    `last_failure` tells of the attempt that failed last, for the log of exchanges that it costs theirs.
    """

    __slots__ = (
        "_breakers",
        "_checks",
        "_random",
        "balancer",
        "budget",
        "first_attempts",
        "has_choice",
        "hedges",
        "last_failure",
        "members",
        "outlier",
        "reserve",
        "settings",
    )

    def __init__(self, settings: ClusterSettings, random: Callable[[], float]) -> None:
        health = settings.health
        self.settings = settings
        self.members: Sequence[Member] = [Member(endpoint, settings.pool) for endpoint in settings.endpoints]
        self.has_choice = len(self.members) > 1
        self.outlier = OutlierDetector(health.outlier, self.members)
        self.budget = RetryBudget(health.budget.ratio, health.budget.floor_per_s, health.budget.window_s)
        self.first_attempts = self.budget.deposits
        self.hedges = RetryBudget(
            _HEDGE_RATIO, _HEDGE_FLOOR_PER_S, health.budget.window_s, deposits=self.first_attempts
        )
        self.reserve = RetryBudget(0.0, health.budget.floor_per_s, _RESERVE_WINDOW_S)
        self.balancer: Balancer[Member] = Balancer(health.slow_start_s, random)
        self._random = random
        self._breakers: OrderedDict[str | None, Breaker] = OrderedDict()  # the one used last is at the end
        self._checks: list[ActiveCheck] = []
        self.last_failure = ""

    def pick(self, tried: Collection[Member], now: float) -> Member:
        """Return the cheaper of two eligible members, not one already tried while others are there.

        `num_active` is counted here, before any wait, so that a burst does not fall on one member.
        """
        candidates = self.members if self.outlier.is_calm else self.outlier.eligible(now)
        if tried:
            candidates = [member for member in candidates if member not in tried] or candidates
        chosen = self.balancer.choose(candidates, now) if self.has_choice else candidates[0]
        chosen.num_active += 1
        return chosen

    def observe(self, member: Member, latency_s: float, now: float) -> None:
        """Take how long an attempt at `member` took: from the request to the head, or to the first event."""
        if self.has_choice:
            self.balancer.observe(member, latency_s, now)

    def report(self, member: Member, outcome: Outcome, now: float) -> None:
        """Take how an attempt at `member` ended."""
        if outcome is _OK:
            self.outlier.succeeded(member)
        elif outcome is Outcome.FAILED and self.outlier.failed(member, now):
            span_s = (member.ejected_until or now) - now
            _log.warning("endpoint %s is left out for %g s: it keeps failing", member.endpoint.authority, span_s)

    def remember(self, failure: str) -> None:
        """Keep how an attempt failed, up to a bound."""
        self.last_failure = failure[:MAX_FAILURE_CHARACTERS]

    def breaker(self, model: str | None) -> Breaker:
        """Return the breaker of the target that is this cluster asked for `model`.

        At most `MAX_BREAKERS` are kept: the one not used for longest is forgotten. Cost: O(1).
        """
        breaker = self._breakers.get(model)
        if breaker is not None:
            self._breakers.move_to_end(model)
            return breaker
        if len(self._breakers) >= MAX_BREAKERS:
            self._breakers.popitem(last=False)
        breaker = self._breakers[model] = Breaker(self.settings.health.breaker, self.outlier.num_healthy)
        return breaker

    def breakers(self) -> Iterator[tuple[str, Breaker]]:
        """Yield the breakers there are, each with the name of its target."""
        for model, breaker in self._breakers.items():
            yield Target(self.settings.name, model).name, breaker

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the active checks, where there are any. Harmless once they run."""
        settings = self.settings.health.check
        if settings is None or self._checks:
            return
        fields = self._check_fields()
        for member in self.members:
            tell = partial(self._checked, member, loop)
            self._checks.append(ActiveCheck(member.endpoint, settings, fields, self._random, tell))
            self._checks[-1].start()

    def close(self) -> None:
        """Stop the checks, close idle connections now and busy ones when their exchange ends."""
        for check in self._checks:
            check.stop()
        for member in self.members:
            member.pool.close()

    def _checked(self, member: Member, loop: asyncio.AbstractEventLoop, is_well: bool) -> None:
        self.outlier.checked(member, is_well, loop.time())

    def _check_fields(self) -> list[tuple[bytes, bytes]]:
        """Return the fields that every request to the cluster has; one that is set replaces the credential."""
        settings = self.settings
        pairs = ([settings.credential] if settings.credential else []) + list(settings.set_fields)
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in dict(pairs).items()]
