"""What is known of one endpoint's health and load."""

from __future__ import annotations

from math import inf


class MemberState:
    """The state of one member of a cluster, kept by the outlier detection and the balancer.

    `num_active` counts attempts from the pick on. Instants of health are None where there is none.
    """

    __slots__ = (
        "ejected_until",
        "is_checked_bad",
        "latency_s",
        "num_active",
        "num_ejections",
        "num_failures",
        "sampled_at",
        "weight",
        "well_since",
    )

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight
        self.num_active = 0
        self.latency_s = 0.0  # the peak that decays, as it stood at `sampled_at`
        self.sampled_at = -inf
        self.num_failures = 0  # in a row
        self.num_ejections = 0  # those not forgotten yet
        self.ejected_until: float | None = None  # stays after the end of the last ejection
        self.is_checked_bad = False
        self.well_since: float | None = None  # the end of its last trouble, if it had any
