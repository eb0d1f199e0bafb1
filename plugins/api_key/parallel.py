"""How many requests of each key run at once."""

from __future__ import annotations

from ...proxy.verdicts import Settlement


class ParallelCounts:
    """Requests under way, by key. Holds only keys that have some: its size is bounded by the open requests."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, key_id: str) -> int:
        """Return how many requests of `key_id` are under way."""
        return self._counts.get(key_id, 0)

    def take(self, key_id: str, limit: int) -> Slot | None:
        """Return a slot to be released, or None where `limit` requests are under way."""
        count = self._counts.get(key_id, 0)
        if count >= limit:
            return None
        self._counts[key_id] = count + 1
        return Slot(self, key_id)

    def give_back(self, key_id: str) -> None:
        """End one request of `key_id`."""
        count = self._counts[key_id] - 1
        if count:
            self._counts[key_id] = count
        else:
            del self._counts[key_id]


class Slot:
    """One request under way. A second release does nothing."""

    __slots__ = ("_counts", "_key_id")

    def __init__(self, counts: ParallelCounts, key_id: str) -> None:
        self._counts: ParallelCounts | None = counts
        self._key_id = key_id

    def release(self, settlement: Settlement) -> None:
        """Give the slot back, however the exchange ended."""
        counts, self._counts = self._counts, None
        if counts is not None:
            counts.give_back(self._key_id)
