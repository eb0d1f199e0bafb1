"""The store: answers under keys, with their variants, within one budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...ext.cache_core import CacheCore, Policy, Reason
from .budget import Budget
from .entry import Entry
from .key import Key, Uri
from .vary import Selector, is_overlapping

_NEVER = float("-inf")  # an instant before all expiries


class Memory(Budget[int, Entry]):
    """Knows which entries belong to a key and to a URI.

    Each key has at most `max_variants` entries, the newest first, of which a request selects one at most.
    """

    __slots__ = ("_by_key", "_keys_of", "_left_before", "max_variants")

    def __init__(self, max_bytes: int, max_variants: int, eviction: Policy) -> None:
        super().__init__(CacheCore(max_bytes, eviction, self._forget))
        self.max_variants = max_variants
        self._left_before = dict.fromkeys(Reason, 0)  # from the cores before this one
        self._by_key: dict[Key, list[Entry]] = {}
        self._keys_of: dict[Uri, set[Key]] = {}

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries, in the core's order."""
        return filter(None, map(self._core.peek, self._core))

    def num_left(self, reason: Reason) -> int:
        """How many entries have left for `reason`."""
        return self._left_before[reason] + super().num_left(reason)

    def select(self, key: Key, selector: Selector) -> Entry | None:
        """Return the entry that a request selects. Cost: linear in the variants of the key."""
        for entry in self._by_key.get(key, ()):
            if not entry.vary or selector.selects(entry.vary):
                return entry
        return None

    def newest(self, key: Key) -> Entry | None:
        """Return the entry of `key` stored last, whatever it varies on."""
        entries = self._by_key.get(key)
        return entries[0] if entries else None

    def touch(self, entry: Entry, now: float) -> None:
        """Note that an entry was used."""
        self._core.get(entry.place, now)

    def put(self, entry: Entry, now: float) -> bool:
        """Store an answer in place of those that some request could select beside it.

        Returns False, and stores nothing, where the entry is larger than what is not reserved, or of no use any more.
        """
        for other in [other for other in self._by_key.get(entry.key, ()) if is_overlapping(other.vary, entry.vary)]:
            self._core.delete(other.place, Reason.REPLACED)
        if not self._core.put(entry.place, entry, entry.size_bytes, entry.kept_until, now):
            return False
        entries = self._by_key.setdefault(entry.key, [])
        entries.insert(0, entry)
        self._keys_of.setdefault(entry.key.uri, set()).add(entry.key)
        if len(entries) > self.max_variants:
            self._core.delete(entries[-1].place, Reason.SIZE)
        return True

    def has_later(self, entry: Entry) -> bool:
        """Whether `put` would replace an answer that was asked for later. Cost: linear in the variants of the key."""
        others = self._by_key.get(entry.key, ())
        return any(other.asked_at > entry.asked_at and is_overlapping(other.vary, entry.vary) for other in others)

    def holds(self, entry: Entry) -> bool:
        """Whether an entry is still there, and no newer one in its place."""
        return self._core.peek(entry.place) is entry

    def remove(self, entry: Entry) -> None:
        """Give up an entry. Harmless for one that is gone."""
        if self.holds(entry):
            self._core.delete(entry.place)

    def invalidate(self, uri: Uri) -> int:
        """Give up every entry of a URI, of all tenants and routes; return their number."""
        entries = [entry for key in self._keys_of.get(uri, ()) for entry in self._by_key[key]]
        for entry in entries:
            self._core.delete(entry.place)
        return len(entries)

    def evict(self, is_meant: Callable[[Key], bool]) -> int:
        """Give up every entry whose key is meant; return their number. Cost: linear in the keys."""
        meant = [entry for key, entries in self._by_key.items() if is_meant(key) for entry in entries]
        for entry in meant:
            self._core.delete(entry.place)
        return len(meant)

    def rebound(self, max_bytes: int, max_variants: int, eviction: Policy) -> None:
        """Change the bounds and the order; what no longer fits is given up. Cost: linear in the entries."""
        self.max_variants = max_variants
        if eviction != self.eviction:
            self._reorder(eviction)
        self.resize(max_bytes)
        for entries in list(self._by_key.values()):
            for entry in entries[max_variants:]:
                self._core.delete(entry.place, Reason.SIZE)

    def _reorder(self, eviction: Policy) -> None:
        """Move everything to a core of another order, the first to go first."""
        old = self._core
        self._core = CacheCore(max(old.max_bytes, old.used_bytes), eviction, self._forget)
        self._core.reserve(old.reserved_bytes, _NEVER)
        for place in old:
            entry = old.peek(place)
            if entry is not None:
                self._core.put(place, entry, entry.size_bytes, entry.kept_until, _NEVER)
        for reason in Reason:
            self._left_before[reason] += old.num_left(reason)

    def _forget(self, place: int, entry: Entry, reason: Reason) -> None:
        """Take out of the indexes what has left the core."""
        entries = self._by_key[entry.key]
        entries.remove(entry)
        if entries:
            return
        del self._by_key[entry.key]
        keys = self._keys_of[entry.key.uri]
        keys.discard(entry.key)
        if not keys:
            del self._keys_of[entry.key.uri]
