"""How urgent a request is, by name."""

from __future__ import annotations

# From the least urgent to the most. Names, not numbers: some systems count upwards and some downwards.
PRIORITIES = ("bulk", "default", "interactive", "system")
DEFAULT = "default"


def capped(asked: str, at_most: str) -> str:
    """Return the priority asked for, or the highest allowed where that is lower; an unknown name is `default`."""
    rank = PRIORITIES.index(asked) if asked in PRIORITIES else PRIORITIES.index(DEFAULT)
    limit = PRIORITIES.index(at_most) if at_most in PRIORITIES else PRIORITIES.index(DEFAULT)
    return PRIORITIES[min(rank, limit)]
