"""The cache core in pure Python: the specification of the compiled one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from operator import index
from typing import Generic, TypeVar, cast

from ._cache_facts import MAX_BYTES, POLICIES, SWEPT_PER_PUT, Policy, Reason
from ._cache_order_py import ORDERS, Node, Order

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class CacheCore(Generic[K, V]):
    """Values under keys within a budget of bytes, each until an instant: `used_bytes` never exceeds `max_bytes`.

    Sizes are the caller's, in bytes, for all that an entry costs. Instants are of one clock, the caller's too.
    `on_leave` is told of every entry that left, just after: it must not call the core. An error of its own comes out of
    the call that made the entry leave, which is then not finished.
    """

    __slots__ = (
        "_left",
        "_max_bytes",
        "_nodes",
        "_on_leave",
        "_order",
        "_policy",
        "_reserved",
        "_rows",
        "_stored",
        "_swept",
    )

    def __init__(
        self, max_bytes: int, policy: Policy, on_leave: Callable[[K, V, Reason], object] | None = None
    ) -> None:
        """Raises: ValueError for a policy that is none, or a budget that is not from 1 to MAX_BYTES."""
        if policy not in POLICIES:
            raise ValueError(f"expected a policy of {', '.join(POLICIES)}, got {policy!r}")
        self._max_bytes = _size(max_bytes, 1)
        self._policy = policy
        self._on_leave = on_leave
        self._nodes: dict[K, Node] = {}
        self._rows: list[Node] = []
        self._swept = 0  # the row that is looked at next for its expiry
        self._order: Order = ORDERS[policy]()
        self._stored = 0
        self._reserved = 0
        self._left = [0] * len(Reason)

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, key: object) -> bool:
        """Whether `key` has an entry, expired or not. No use of it."""
        return key in self._nodes

    def __iter__(self) -> Iterator[K]:
        """Yield the keys as they are now. Cost: linear.

        lru: the least recently used first. sieve: the oldest first. s3fifo: so in the small queue, then the main one.
        """
        return iter([cast(K, node.key) for node in self._order])

    @property
    def policy(self) -> Policy:
        """Which entries go first."""
        return self._policy

    @property
    def max_bytes(self) -> int:
        """The budget."""
        return self._max_bytes

    @property
    def stored_bytes(self) -> int:
        """The sizes of all entries together."""
        return self._stored

    @property
    def reserved_bytes(self) -> int:
        """What is set aside."""
        return self._reserved

    @property
    def used_bytes(self) -> int:
        """Stored and reserved bytes."""
        return self._stored + self._reserved

    def num_left(self, reason: Reason) -> int:
        """How many entries have left for `reason`. Raises: ValueError for one that is none."""
        return self._left[Reason(reason)]

    def get(self, key: K, now: float) -> V | None:
        """Return the value of `key`, which counts as a use; None where there is none, or it has expired and leaves."""
        node = self._nodes.get(key)
        if node is None:
            return None
        if not node.expires_at > now:
            self._remove(node, Reason.EXPIRED)
            return None
        self._order.use(node)
        return cast(V, node.value)

    def peek(self, key: K) -> V | None:
        """Return the value of `key`, expired or not; None where there is none. No use of it."""
        node = self._nodes.get(key)
        return None if node is None else cast(V, node.value)

    def put(self, key: K, value: V, size_bytes: int, expires_at: float, now: float) -> bool:
        """Store a value; the one of the key before leaves in any case. Others leave until there is room.

        Returns False, and stores nothing, where it is larger than what is not reserved, or has expired already.
        Raises: ValueError for a size that is not from 1 to MAX_BYTES.
        Cost: O(1), and O(1) for each entry that leaves.
        """
        size_bytes = _size(size_bytes, 1)
        self.sweep(SWEPT_PER_PUT, now)
        old = self._nodes.get(key)
        if old is not None:
            self._remove(old, Reason.REPLACED)
        if size_bytes + self._reserved > self._max_bytes or not expires_at > now:
            return False
        self._make_room(size_bytes, now)
        node = self._nodes[key] = Node(key, value, size_bytes, expires_at)
        node.row = len(self._rows)
        self._rows.append(node)
        self._order.add(node)
        self._stored += size_bytes
        return True

    def delete(self, key: K, reason: Reason = Reason.INVALIDATED) -> bool:
        """Let the entry of `key` leave; tell whether there was one. Raises: ValueError for a reason that is none."""
        reason = Reason(reason)
        node = self._nodes.get(key)
        if node is None:
            return False
        self._remove(node, reason)
        return True

    def sweep(self, num_entries: int, now: float) -> None:
        """Let those of the next `num_entries` leave that have expired. Cost: O(1) for each.

        In turn all are looked at: twice as many looks as there are entries reach every one.
        """
        for _ in range(min(num_entries, len(self._rows))):
            if self._swept >= len(self._rows):
                self._swept = 0
            node = self._rows[self._swept]
            if node.expires_at > now:
                self._swept += 1
            else:
                self._remove(node, Reason.EXPIRED)

    def reserve(self, size_bytes: int, now: float) -> bool:
        """Set bytes aside; entries leave until there is room. False where no room can be made, and none is.

        Raises: ValueError for a size that is not from 0 to MAX_BYTES.
        """
        size_bytes = _size(size_bytes, 0)
        if size_bytes + self._reserved > self._max_bytes:
            return False
        self._make_room(size_bytes, now)
        self._reserved += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        """Give reserved bytes back. Raises: ValueError for more than are reserved."""
        size_bytes = _size(size_bytes, 0)
        if size_bytes > self._reserved:
            raise ValueError(f"expected at most the {self._reserved} bytes that are reserved, got {size_bytes}")
        self._reserved -= size_bytes

    def resize(self, max_bytes: int) -> None:
        """Change the budget; entries leave for SIZE until the rest fits. What is reserved stays, even if it does not.

        Raises: ValueError for a budget that is not from 1 to MAX_BYTES. Cost: O(1) for each entry that leaves.
        """
        self._max_bytes = _size(max_bytes, 1)
        self._make_room(0, float("-inf"))

    def _make_room(self, size_bytes: int, now: float) -> None:
        while self._nodes and self._stored + self._reserved + size_bytes > self._max_bytes:
            node = self._order.victim(self._max_bytes)
            self._remove(node, Reason.SIZE if node.expires_at > now else Reason.EXPIRED)

    def _remove(self, node: Node, reason: Reason) -> None:
        del self._nodes[node.key]
        last = self._rows.pop()
        if last is not node:
            self._rows[node.row] = last
            last.row = node.row
        self._order.remove(node, reason, len(self._nodes))
        self._stored -= node.size_bytes
        self._left[reason] += 1
        if self._on_leave is not None:
            self._on_leave(node.key, node.value, reason)


def _size(number: int, least: int) -> int:
    number = index(number)
    if not least <= number <= MAX_BYTES:
        raise ValueError(f"expected a number of bytes from {least} to {MAX_BYTES}, got {number}")
    return number
