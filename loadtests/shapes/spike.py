"""A peak that comes at once and goes at once."""

from __future__ import annotations

from .curve import Curve, joined


def spike(base: float, peak: float, seconds: float, during: tuple[float, float]) -> Curve:
    """Return `base`, and `peak` between two instants. Raises: ValueError where they are not inside, in order."""
    begin, end = during
    if not 0 < begin < end < seconds:
        raise ValueError(f"expected a peak inside {seconds:g} s, got one from {begin:g} to {end:g} s")
    return joined([(begin, base), (end - begin, peak), (seconds - end, base)])
