"""Stop strings over streamed text.

Text is held back while it could still begin a stop string. The stop string that is completed first wins (the longest
of those that end there), so the result does not depend on how the text was cut into pieces.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Pass text on up to the first stop string. Cost: O(held + piece) a push, for each stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.is_stopped = False

    def push(self, piece: str) -> str:
        """Take a piece and give the text that is certain not to touch a stop string."""
        if self.is_stopped:
            return ""
        text = self._held + piece
        begin = self._find(text)
        if begin is not None:
            self.is_stopped, self._held = True, ""
            return text[:begin]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """Give what was held back: the text ended, so it can no longer become a stop string."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        """Give where the first completed stop string begins."""
        ends = ((begin + len(stop), begin) for stop in self._stops if (begin := text.find(stop)) >= 0)
        first = min(ends, default=None)
        return None if first is None else first[1]


def _overlap(text: str, stop: str) -> int:
    """Give the length of the longest end of the text that begins, but does not complete, the stop string."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
