"""The store: answers under keys, the least recently used given up first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from .entry import Entry
from .key import Key, Uri
from .vary import Selector


class Memory:
    """Entries and reserved bytes within one budget: `used_bytes` never exceeds `max_bytes`.

    A quarter of the budget may be reserved for answers that are still being collected. Each key has at most
    `max_variants` entries, the newest first.
    """

    __slots__ = (
        "_by_key",
        "_keys_of",
        "_order",
        "max_bytes",
        "max_variants",
        "num_evicted",
        "reserved_bytes",
        "stored_bytes",
    )

    def __init__(self, max_bytes: int, max_variants: int) -> None:
        self.max_bytes = max_bytes
        self.max_variants = max_variants
        self.stored_bytes = 0
        self.reserved_bytes = 0
        self.num_evicted = 0
        self._order: OrderedDict[Entry, int] = OrderedDict()  # with sizes, least recently used first
        self._by_key: dict[Key, list[Entry]] = {}
        self._keys_of: dict[Uri, set[Key]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries, least recently used first."""
        return iter(self._order)

    @property
    def used_bytes(self) -> int:
        """Stored and reserved bytes."""
        return self.stored_bytes + self.reserved_bytes

    def select(self, key: Key, selector: Selector) -> Entry | None:
        """Return the newest entry that a request selects. Cost: linear in the variants of the key."""
        for entry in self._by_key.get(key, ()):
            if not entry.vary or selector.selects(entry.vary):
                return entry
        return None

    def newest(self, key: Key) -> Entry | None:
        """Return the entry of `key` stored last, whatever it varies on."""
        entries = self._by_key.get(key)
        return entries[0] if entries else None

    def touch(self, entry: Entry) -> None:
        """Note that an entry was used."""
        self._order.move_to_end(entry)

    def put(self, entry: Entry, selector: Selector) -> bool:
        """Store the answer to the request of `selector` in place of those that it selected before.

        Returns False, and stores nothing, where the entry is larger than what is not reserved.
        """
        size = entry.size_bytes
        for other in [other for other in self._by_key.get(entry.key, ()) if selector.selects(other.vary)]:
            self.remove(other)
        if size + self.reserved_bytes > self.max_bytes:
            return False
        self._make_room(size)
        entries = self._by_key.setdefault(entry.key, [])
        entries.insert(0, entry)
        self._keys_of.setdefault(entry.key.uri, set()).add(entry.key)
        self._order[entry] = size
        self.stored_bytes += size
        if len(entries) > self.max_variants:
            self._evict(entries[-1])
        return True

    def remove(self, entry: Entry) -> None:
        """Give up an entry. Harmless for one that is gone."""
        size = self._order.pop(entry, None)
        if size is None:
            return
        self.stored_bytes -= size
        entries = self._by_key[entry.key]
        entries.remove(entry)
        if not entries:
            del self._by_key[entry.key]
            keys = self._keys_of[entry.key.uri]
            keys.discard(entry.key)
            if not keys:
                del self._keys_of[entry.key.uri]

    def invalidate(self, uri: Uri) -> int:
        """Give up every entry of a URI, of all tenants and routes; return their number."""
        entries = [entry for key in self._keys_of.get(uri, ()) for entry in self._by_key[key]]
        for entry in entries:
            self.remove(entry)
        return len(entries)

    def reserve(self, size_bytes: int) -> bool:
        """Set bytes aside for an answer that is being collected; False where too many are already."""
        if self.reserved_bytes + size_bytes > self.max_bytes // 4:
            return False
        self._make_room(size_bytes)
        self.reserved_bytes += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        """Give reserved bytes back."""
        self.reserved_bytes -= size_bytes

    def resize(self, max_bytes: int, max_variants: int) -> None:
        """Change the bounds; what no longer fits is given up."""
        self.max_bytes, self.max_variants = max_bytes, max_variants
        self._make_room(0)
        for entries in list(self._by_key.values()):
            for entry in entries[max_variants:]:
                self._evict(entry)

    def _make_room(self, size_bytes: int) -> None:
        while self._order and self.used_bytes + size_bytes > self.max_bytes:
            self._evict(next(iter(self._order)))

    def _evict(self, entry: Entry) -> None:
        self.remove(entry)
        self.num_evicted += 1
