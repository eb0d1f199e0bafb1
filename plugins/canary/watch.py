"""Whether a variant fails more often than what it stands beside."""

from __future__ import annotations


class Watch:
    """Compares two shares of errors over the same time: window by window, each as long as it takes.

    A window ends once both sides have had `num_requests`; then both are counted anew, so that an outage that has hit
    both is in the same window of both. Cost: O(1), two counts for each side.
    """

    __slots__ = ("_above", "_num_errors", "_num_requests", "_seen")

    def __init__(self, above_percent: float, num_requests: int) -> None:
        self._above = above_percent / 100
        self._num_requests = num_requests
        self._seen = [0, 0]  # of the stable targets, of the variant
        self._num_errors = [0, 0]

    def add(self, *, is_variant: bool, is_error: bool) -> bool:
        """Count one answer; return whether a window has ended in which the variant was too bad."""
        seen, num_errors = self._seen, self._num_errors
        seen[is_variant] += 1
        num_errors[is_variant] += is_error
        if min(seen) < self._num_requests:
            return False
        excess = num_errors[True] / seen[True] - num_errors[False] / seen[False]
        self._seen, self._num_errors = [0, 0], [0, 0]
        return excess > self._above
