"""A named group of endpoints, and the pick among them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from ..exchange.plan import Timeouts
from .endpoint import Endpoint
from .pool import ConnectionPool, PoolLimits


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


class Member:
    """One endpoint of a cluster with its connections. `num_active` counts attempts from the pick on."""

    __slots__ = ("endpoint", "num_active", "pool")

    def __init__(self, endpoint: Endpoint, limits: PoolLimits) -> None:
        self.endpoint = endpoint
        self.pool = ConnectionPool(endpoint, limits)
        self.num_active = 0


class Cluster:
    """Endpoints with their pools. Kept over reloads while its settings are the same."""

    __slots__ = ("_random", "members", "settings")

    def __init__(self, settings: ClusterSettings, random: Callable[[], float]) -> None:
        self.settings = settings
        self.members: Sequence[Member] = [Member(endpoint, settings.pool) for endpoint in settings.endpoints]
        self._random = random

    def pick(self, tried: Collection[Member] = ()) -> Member:
        """Return the less busy of two members drawn at random, not one already tried while others are there.

        `num_active` is counted here, before any wait, so that a burst does not fall on one member.
        Source: power of two choices (Mitzenmacher 2001).
        """
        candidates = [member for member in self.members if member not in tried] or list(self.members)
        if len(candidates) > 1:
            first = candidates.pop(int(self._random() * len(candidates)))
            second = candidates[int(self._random() * len(candidates))]
            chosen = first if first.num_active <= second.num_active else second
        else:
            chosen = candidates[0]
        chosen.num_active += 1
        return chosen

    def close(self) -> None:
        """Close idle connections now and busy ones when their exchange ends."""
        for member in self.members:
            member.pool.close()
