"""Laws of the cache's store: who goes first, the budget, and that the indexes hold what the core holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headgate.ext.cache_core import POLICIES, Policy, Reason
from headgate.plugins.cache.entry import Entry
from headgate.plugins.cache.key import Key, Uri
from headgate.plugins.cache.memory import Memory
from headgate.plugins.cache.vary import Selector, Vary
from headgate.proxy.exchange.fields import Fields

URIS = [Uri("https", "origin.test", f"/{name}") for name in "abc"]
KEYS = [Key(uri, "main", tenant, ()) for uri in URIS for tenant in (None, "t")]
KINDS = [None, "x", "y", "z"]


@dataclass(eq=False)
class Row:
    """What the reference model knows of an entry."""

    entry: Entry
    size: int


class MemoryMachine(RuleBasedStateMachine):
    """P27: the content is that of a plain list in order of use, and the bytes are the sum of its sizes."""

    memory: Memory
    rows: list[Row]  # least recently used first

    @initialize(max_bytes=st.integers(6_000, 20_000), max_variants=st.integers(1, 3))
    def begin(self, max_bytes: int, max_variants: int) -> None:
        self.memory = Memory(max_bytes, max_variants, "lru")
        self.rows = []
        self.reserved = 0
        self.born: list[Entry] = []

    @rule(key=st.sampled_from(KEYS), kind=st.sampled_from(KINDS), is_varying=st.booleans(), size=st.integers(0, 9_000))
    def put(self, key: Key, kind: str | None, is_varying: bool, size: int) -> None:
        vary: Vary = (("x-kind", kind),) if is_varying else ()
        entry = Entry(key, vary, 200, ((b"A", b"b"),), bytes(size), 0.0, 0.0, 60.0)
        self.rows = [row for row in self.rows if row.entry.key != key or not meet(vary, row.entry.vary)]
        is_fitting = entry.size_bytes + self.reserved <= self.memory.max_bytes
        assert self.memory.put(entry, 0.0) == is_fitting
        if not is_fitting:
            return
        self.make_room(entry.size_bytes)
        self.rows.append(Row(entry, entry.size_bytes))
        self.born.append(entry)
        self.cap_variants(key)

    @rule(key=st.sampled_from(KEYS), kind=st.sampled_from(KINDS))
    def use(self, key: Key, kind: str | None) -> None:
        found = self.memory.select(key, selector(kind))
        matching = [row for row in self.rows if row.entry.key == key and selects(kind, row.entry)]
        newest = max(matching, key=lambda row: self.born.index(row.entry), default=None)
        assert found is (newest.entry if newest else None)
        if found is not None and newest is not None:
            self.memory.touch(found, 0.0)
            self.rows.remove(newest)
            self.rows.append(newest)

    @rule(uri=st.sampled_from(URIS))
    def invalidate(self, uri: Uri) -> None:
        left = [row for row in self.rows if row.entry.key.uri != uri]
        assert self.memory.invalidate(uri) == len(self.rows) - len(left)
        self.rows = left

    @rule(size=st.integers(0, 6_000))
    def reserve(self, size: int) -> None:
        is_granted = self.reserved + size <= self.memory.max_bytes // 4
        assert self.memory.reserve(size, 0.0) == is_granted
        if is_granted:
            self.make_room(size)
            self.reserved += size

    @precondition(lambda self: self.reserved)
    @rule()
    def release(self) -> None:
        self.memory.release(self.reserved)
        self.reserved = 0

    @precondition(lambda self: not self.reserved)
    @rule(max_bytes=st.integers(3_000, 20_000), max_variants=st.integers(1, 3))
    def resize(self, max_bytes: int, max_variants: int) -> None:
        self.memory.rebound(max_bytes, max_variants, "lru")
        self.make_room(0)
        for key in KEYS:
            while self.cap_variants(key):
                pass

    @invariant()
    def agrees(self) -> None:
        assert [row.entry for row in self.rows] == list(self.memory)
        assert self.memory.stored_bytes == sum(row.size for row in self.rows)
        assert self.memory.used_bytes == self.memory.stored_bytes + self.reserved <= self.memory.max_bytes

    def make_room(self, size: int) -> None:
        while self.rows and sum(row.size for row in self.rows) + self.reserved + size > self.memory.max_bytes:
            self.rows.pop(0)

    def cap_variants(self, key: Key) -> bool:
        variants = [row for row in self.rows if row.entry.key == key]
        if len(variants) <= self.memory.max_variants:
            return False
        self.rows.remove(min(variants, key=lambda row: self.born.index(row.entry)))
        return True


def selector(kind: str | None) -> Selector:
    return Selector(Fields([(b"X-Kind", kind.encode())] if kind is not None else []), ())


def meet(one: Vary, other: Vary) -> bool:
    """Whether one request can select both."""
    return not one or not other or one == other


def selects(kind: str | None, entry: Entry) -> bool:
    return not entry.vary or entry.vary == (("x-kind", kind),)


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class IndexMachine(RuleBasedStateMachine):
    """Whoever the core gives up and why: the indexes hold what it holds, and every answer leaves once."""

    memory: Memory

    @initialize(
        max_bytes=st.integers(6_000, 20_000), max_variants=st.integers(1, 3), eviction=st.sampled_from(POLICIES)
    )
    def begin(self, max_bytes: int, max_variants: int, eviction: Policy) -> None:
        self.memory = Memory(max_bytes, max_variants, eviction)
        self.now = 0.0
        self.num_stored = 0

    @rule(
        key=st.sampled_from(KEYS),
        vary=st.lists(st.sampled_from(["x", "y"]), unique=True),
        kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
        size=st.integers(0, 3_000),
        lifetime=st.sampled_from([1.0, 5.0, 60.0]),
    )
    def put(self, key: Key, vary: list[str], kinds: tuple[str | None, ...], size: int, lifetime: float) -> None:
        pairs = tuple((name, kind) for name, kind in zip(("x", "y"), kinds, strict=True) if name in vary)
        entry = Entry(key, pairs, 200, (), bytes(size), self.now, 0.0, lifetime)
        is_stored = self.memory.put(entry, self.now)
        self.num_stored += is_stored
        assert (self.memory.newest(key) is entry) == is_stored

    @rule(data=st.data(), seconds=st.sampled_from([0.0, 0.5, 3.0]))
    def use_or_remove(self, data: st.DataObject, seconds: float) -> None:
        self.now += seconds
        entries = list(self.memory)
        if entries:
            entry = data.draw(st.sampled_from(entries))
            if data.draw(st.booleans()):
                self.memory.touch(entry, self.now)
            else:
                self.memory.remove(entry)
                assert all(left is not entry for left in self.memory)

    @rule(uri=st.sampled_from(URIS))
    def invalidate(self, uri: Uri) -> None:
        num = sum(entry.key.uri == uri for entry in self.memory)
        assert self.memory.invalidate(uri) == num

    @rule(max_bytes=st.integers(3_000, 20_000), max_variants=st.integers(1, 3), eviction=st.sampled_from(POLICIES))
    def resize(self, max_bytes: int, max_variants: int, eviction: Policy) -> None:
        self.memory.rebound(max_bytes, max_variants, eviction)
        assert self.memory.eviction == eviction

    @rule(size=st.integers(0, 2_000))
    def reserve_and_release(self, size: int) -> None:
        if self.memory.reserve(size, self.now):
            self.memory.release(size)

    @invariant()
    def agrees(self) -> None:
        memory, entries = self.memory, list(self.memory)
        for key in KEYS:
            own = [entry for entry in entries if entry.key == key]
            assert len(own) <= memory.max_variants
            assert (memory.newest(key) is None) == (not own)
            for x, y in product(KINDS, KINDS):
                values = {"x": x, "y": y}
                found = [entry for entry in own if all(values[name] == value for name, value in entry.vary)]
                pairs = [(name.encode(), value.encode()) for name, value in values.items() if value is not None]
                assert len(found) <= 1
                assert memory.select(key, Selector(Fields(pairs), ())) is (found[0] if found else None)
        assert memory.used_bytes == sum(entry.size_bytes for entry in entries) <= memory.max_bytes
        assert self.num_stored == len(entries) + sum(memory.num_left(reason) for reason in Reason)


TestIndexes = IndexMachine.TestCase
TestIndexes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
