"""How urgent a request is, by name."""

from __future__ import annotations

# From the least urgent to the most. Names, not numbers: some systems count upwards and some downwards.
PRIORITIES = ("bulk", "default", "interactive", "system")
DEFAULT = "default"
_RANKS = {name: rank for rank, name in enumerate(PRIORITIES)}
_DEFAULT_RANK = _RANKS[DEFAULT]


def capped(asked: str, at_most: str) -> str:
    """Return the priority asked for, or the highest allowed where that is lower; an unknown name is `default`."""
    rank, limit = _RANKS.get(asked, _DEFAULT_RANK), _RANKS.get(at_most, _DEFAULT_RANK)
    return PRIORITIES[rank if rank < limit else limit]
