"""Simulated worlds by the thousand: `python -m tests.property.simulation.soak [seconds] [first seed]`."""

from __future__ import annotations

import sys
import time
from itertools import count

from .drawn import seeded
from .laws import LAWS
from .world import History, play


def held(seed: int) -> History:
    """Play the world of a seed and hold it to every law. Raises: AssertionError, with the seed."""
    history = play(seeded(seed))
    for name, law in LAWS.items():
        try:
            law(history)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {name}: {error}") from error
    return history


def main(arguments: list[str]) -> int:
    """Run until the time is up; print how many worlds that were."""
    span_s = float(arguments[0]) if arguments else 300.0
    first = int(arguments[1]) if len(arguments) > 1 else 0
    begun_at = time.monotonic()
    for seed in count(first):
        held(seed)
        if time.monotonic() - begun_at >= span_s:
            print(f"{seed - first + 1} worlds, {(seed - first + 1) / (time.monotonic() - begun_at):.0f} a second")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
