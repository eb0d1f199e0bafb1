"""The store: entries under keys, one for each form that an answer came in, within one budget."""

from __future__ import annotations

from collections.abc import Callable

from ...ext.cache_core import CacheCore, Policy, Reason
from ..cache.budget import Budget
from .entry import Entry, Key

Place = tuple[bytes, bool]


class Memory(Budget[Place, Entry]):
    """`num_evictions` counts the calls of `evict`: what was asked for before one is not to be stored after it."""

    __slots__ = ("num_evictions",)

    def __init__(self, max_bytes: int, eviction: Policy) -> None:
        super().__init__(CacheCore(max_bytes, eviction))
        self.num_evictions = 0

    def get(self, key: Key, now: float, *, is_stream: bool) -> Entry | None:
        """Return what is stored for a key in one form, however stale; that counts as a use."""
        return self._core.get((key.digest, is_stream), now)

    def put(self, entry: Entry, now: float, *, is_renewing: bool) -> bool:
        """Store an answer in place of that of its key in its form, or in any; False where there is no room."""
        digest, is_stream = entry.key.digest, entry.content.is_stream
        if is_renewing:
            self._core.delete((digest, not is_stream), Reason.REPLACED)
        return self._core.put((digest, is_stream), entry, entry.size_bytes, entry.kept_until, now)

    def has_later(self, key: Key, asked_at: float) -> bool:
        """Whether an answer is there for a key, in any form, that was asked for after the instant `asked_at`."""
        entries = (self._core.peek((key.digest, is_stream)) for is_stream in (False, True))
        return any(entry is not None and entry.asked_at > asked_at for entry in entries)

    def evict(self, is_meant: Callable[[Key], bool]) -> int:
        """Give up every entry whose key is meant; return their number. Cost: linear in the entries."""
        self.num_evictions += 1
        places = [place for place in self._core if (entry := self._core.peek(place)) and is_meant(entry.key)]
        for place in places:
            self._core.delete(place)
        return len(places)
