"""From nothing to a peak, which is then held."""

from __future__ import annotations

from .curve import Curve


def ramp(peak: float, seconds: float, rise: float = 0.5) -> Curve:
    """Return a rise to `peak` over a share `rise` of the time, and the peak for the rest."""
    return Curve(((0.0, 0.0), (seconds * rise, peak), (seconds, peak)))
