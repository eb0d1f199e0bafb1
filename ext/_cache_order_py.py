"""The orders in which a full cache gives entries up, in pure Python: the specification of the compiled ones.

Each search for a victim looks at MAX_STEPS entries at most. With fewer entries than that, SIEVE and S3-FIFO are what
their papers say; with more, an entry that was used may go where long runs of such entries stand before the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from ._cache_facts import MAX_STEPS, Reason

_MOST_USES = 3  # S3-FIFO counts in two bits


class Node:
    """One entry, in the queue it stands in; `row` is its place in the core's list."""

    __slots__ = ("expires_at", "is_main", "key", "newer", "older", "row", "size_bytes", "uses", "value")

    def __init__(self, key: Any, value: Any, size_bytes: int, expires_at: float) -> None:
        self.key = key
        self.value = value
        self.size_bytes = size_bytes
        self.expires_at = expires_at
        self.uses = 0
        self.is_main = False
        self.row = 0
        self.older = self.newer = self


class Queue:
    """Nodes from the oldest to the newest: a ring that begins and ends at `ends`, which is no entry."""

    __slots__ = ("ends", "size_bytes")

    def __init__(self) -> None:
        self.ends = Node(None, None, 0, 0.0)
        self.size_bytes = 0

    def __iter__(self) -> Iterator[Node]:
        node = self.ends.newer
        while node is not self.ends:
            yield node
            node = node.newer

    @property
    def is_empty(self) -> bool:
        """Whether no node stands in it."""
        return self.ends.newer is self.ends

    @property
    def oldest(self) -> Node:
        """The node that has stood in it longest; `ends` where there is none."""
        return self.ends.newer

    def push(self, node: Node) -> None:
        """Put `node` in as the newest."""
        newest = self.ends.older
        newest.newer = self.ends.older = node
        node.older, node.newer = newest, self.ends
        self.size_bytes += node.size_bytes

    def remove(self, node: Node) -> None:
        """Take `node` out."""
        node.older.newer, node.newer.older = node.newer, node.older
        self.size_bytes -= node.size_bytes


class Lru:
    """The least recently used goes first."""

    __slots__ = ("queue",)

    def __init__(self) -> None:
        self.queue = Queue()

    def __iter__(self) -> Iterator[Node]:
        return iter(self.queue)

    def add(self, node: Node) -> None:
        """Take a new entry in."""
        self.queue.push(node)

    def use(self, node: Node) -> None:
        """Note that an entry was asked for."""
        self.queue.remove(node)
        self.queue.push(node)

    def remove(self, node: Node, reason: Reason, num_left: int) -> None:
        """Let an entry go, after which there are `num_left`."""
        self.queue.remove(node)

    def victim(self, max_bytes: int) -> Node:
        """Find the entry to give up. There is one."""
        return self.queue.oldest


class Sieve(Lru):
    """A hand goes from the oldest to the newest and round again. What was used since it came by last stays, in place.

    Source: Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024, algorithm 1.
    """

    __slots__ = ("hand",)

    def __init__(self) -> None:
        super().__init__()
        self.hand = self.queue.ends  # there it goes on with the oldest

    def use(self, node: Node) -> None:
        node.uses = 1

    def remove(self, node: Node, reason: Reason, num_left: int) -> None:
        if node is self.hand:
            self.hand = node.newer
        self.queue.remove(node)

    def victim(self, max_bytes: int) -> Node:
        node = self._at(self.hand)
        for _ in range(MAX_STEPS):
            if not node.uses:
                break
            node.uses = 0
            node = self._at(node.newer)
        self.hand = node
        return node

    def _at(self, node: Node) -> Node:
        return self.queue.oldest if node is self.queue.ends else node


class Ghosts:
    """The hashes of the keys that were added last. One that is taken keeps its place in the order."""

    __slots__ = ("_known", "_num_added", "_order")

    def __init__(self) -> None:
        self._num_added = 0
        self._order: deque[int] = deque()
        self._known: dict[int, int] = {}  # with the number of its addition

    def add(self, hashed: int) -> None:
        """Remember a key as the newest."""
        self._num_added += 1
        self._order.append(hashed)
        self._known[hashed] = self._num_added

    def take(self, hashed: int) -> bool:
        """Forget a key; tell whether it was known."""
        return self._known.pop(hashed, None) is not None

    def trim(self, most: int) -> None:
        """Forget the oldest until there are `most`."""
        while len(self._order) > most:
            added = self._num_added - len(self._order) + 1
            hashed = self._order.popleft()
            if self._known.get(hashed) == added:
                del self._known[hashed]


class S3Fifo:
    """What is new stands in a small queue, of a tenth of the bytes, until it has been used twice or is given up.

    What was used twice moves to the main queue, where each use, up to three, earns another round. What is given up from
    the small queue leaves a ghost, and so does what leaves the main queue before its turn (it has expired, or there is
    a newer value): what comes again under a known ghost goes to the main queue at once. There are never more ghosts
    than entries.
    Source: Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP 2023, algorithm 1. A move to the main
    queue gives nothing up by itself, as in the authors' libCacheSim; the paper has no expiry.
    """

    __slots__ = ("_ghosts", "_main", "_small")

    def __init__(self) -> None:
        self._small = Queue()
        self._main = Queue()
        self._ghosts = Ghosts()

    def __iter__(self) -> Iterator[Node]:
        yield from self._small
        yield from self._main

    def add(self, node: Node) -> None:
        node.is_main = self._ghosts.take(hash(node.key))
        (self._main if node.is_main else self._small).push(node)

    def use(self, node: Node) -> None:
        node.uses = min(node.uses + 1, _MOST_USES)

    def remove(self, node: Node, reason: Reason, num_left: int) -> None:
        (self._main if node.is_main else self._small).remove(node)
        if node.is_main != (reason is Reason.SIZE):
            self._ghosts.add(hash(node.key))
        self._ghosts.trim(num_left)

    def victim(self, max_bytes: int) -> Node:
        is_small = self._main.is_empty or self._small.size_bytes * 10 >= max_bytes
        for _ in range(MAX_STEPS):
            node = self._main.oldest if self._small.is_empty or not is_small else self._small.oldest
            if node.uses <= (not node.is_main):
                return node
            self._move(node)
        return self._main.oldest if self._small.is_empty or not is_small else self._small.oldest

    def _move(self, node: Node) -> None:
        (self._main if node.is_main else self._small).remove(node)
        node.uses = node.uses - 1 if node.is_main else 0
        node.is_main = True
        self._main.push(node)


Order = Lru | S3Fifo
ORDERS: dict[str, type[Order]] = {"lru": Lru, "sieve": Sieve, "s3fifo": S3Fifo}
