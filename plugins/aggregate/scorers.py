"""Who says which answer is the best: ours, and those that other packages offer.

A scorer is a plain function under an entry point of the group `headgate.aggregate_scorers`. It gets the candidates in
the order of the branches and returns a score for each; the highest wins. It must not block.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from .candidate import Candidate

ENTRY_POINT_GROUP = "headgate.aggregate_scorers"
Scorer = Callable[[Sequence[Candidate]], Sequence[float]]

_log = logging.getLogger("headgate.plugins")


def shortest(candidates: Sequence[Candidate]) -> list[float]:
    """The less it says the better."""
    return [-len(candidate.content) for candidate in candidates]


def longest(candidates: Sequence[Candidate]) -> list[float]:
    """The more it says the better."""
    return [len(candidate.content) for candidate in candidates]


def most_agreed(candidates: Sequence[Candidate]) -> list[float]:
    """The more votes say the same the better."""
    votes = Counter[str]()
    for candidate in candidates:
        votes[candidate.content] += candidate.weight
    return [votes[candidate.content] for candidate in candidates]


_BUILT_IN: Mapping[str, Scorer] = {"shortest": shortest, "longest": longest, "most_agreed": most_agreed}


@cache
def _offered() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def known_scorers() -> set[str]:
    """Return the names of all scorers. Cost: a look at what is installed, the first time."""
    return {*_BUILT_IN, *_offered()}


@cache
def scorer_named(name: str) -> Scorer:
    """Return a scorer; ours go first. Raises: KeyError for an unknown name, what its import raises."""
    scorer: Scorer = _BUILT_IN[name] if name in _BUILT_IN else _offered()[name].load()
    return scorer


def best(candidates: Sequence[Candidate], name: str) -> int:
    """Return which candidate is the best: by score, then by votes, then by the order of the branches.

    Where the scorer fails, or gives no finite number for each, the scores count as equal. Cost: that of the scorer.
    """
    scores = _scores(candidates, name)
    return max(range(len(candidates)), key=lambda at: (scores[at], candidates[at].weight, -at))


def _scores(candidates: Sequence[Candidate], name: str) -> Sequence[float]:
    try:
        scores = [float(score) for score in scorer_named(name)(candidates)]
        if len(scores) != len(candidates) or any(map(math.isnan, scores)):
            raise ValueError(f"expected a number for each of {len(candidates)} candidates, got {scores}")
    except Exception as error:
        _log.error("scorer %s failed: %r", name, error, exc_info=error)
        return [0.0] * len(candidates)
    return scores
