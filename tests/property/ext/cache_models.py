"""The three policies once more, as their papers tell them, on plain lists and without regard to cost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

Key = Hashable


class Lru:
    """Least recently used first."""

    def __init__(self) -> None:
        self.keys: OrderedDict[Key, None] = OrderedDict()

    def order(self) -> list[Key]:
        return list(self.keys)

    def add(self, key: Key) -> None:
        self.keys[key] = None

    def use(self, key: Key) -> None:
        self.keys.move_to_end(key)

    def remove(self, key: Key, *, is_for_room: bool) -> None:
        del self.keys[key]

    def victim(self, sizes: dict[Key, int], max_bytes: int) -> Key:
        return next(iter(self.keys))


class Sieve:
    """NSDI 2024, algorithm 1. The paper's tail is the beginning of `queue`; `hand` None stands for the tail."""

    def __init__(self) -> None:
        self.queue: list[Key] = []
        self.visited: set[Key] = set()
        self.hand: Key | None = None

    def order(self) -> list[Key]:
        return list(self.queue)

    def add(self, key: Key) -> None:
        self.queue.append(key)

    def use(self, key: Key) -> None:
        self.visited.add(key)

    def remove(self, key: Key, *, is_for_room: bool) -> None:
        if self.hand == key:
            self.hand = self.nearer_to_head(key)
        self.queue.remove(key)
        self.visited.discard(key)

    def victim(self, sizes: dict[Key, int], max_bytes: int) -> Key:
        candidate = self.queue[0] if self.hand is None else self.hand
        while candidate in self.visited:
            self.visited.remove(candidate)
            following = self.nearer_to_head(candidate)
            candidate = self.queue[0] if following is None else following
        self.hand = candidate  # moved on when it is removed
        return candidate

    def nearer_to_head(self, key: Key) -> Key | None:
        place = self.queue.index(key) + 1
        return self.queue[place] if place < len(self.queue) else None


class S3Fifo:
    """SOSP 2023, algorithm 1; tails are the beginnings. What is ours: what leaves `main` early leaves a ghost too."""

    def __init__(self) -> None:
        self.small: list[Key] = []
        self.main: list[Key] = []
        self.ghosts: list[Key | None] = []  # None: taken, and keeps its place
        self.freq: dict[Key, int] = {}

    def order(self) -> list[Key]:
        return self.small + self.main

    def add(self, key: Key) -> None:
        self.freq[key] = 0
        if key in self.ghosts:
            self.ghosts = [None if ghost == key else ghost for ghost in self.ghosts]
            self.main.append(key)
        else:
            self.small.append(key)

    def use(self, key: Key) -> None:
        self.freq[key] = min(self.freq[key] + 1, 3)

    def remove(self, key: Key, *, is_for_room: bool) -> None:
        is_main = key in self.main
        (self.main if is_main else self.small).remove(key)
        del self.freq[key]
        if is_main != is_for_room:
            self.ghosts = [*(None if ghost == key else ghost for ghost in self.ghosts), key]
        num_entries = len(self.freq)
        self.ghosts = self.ghosts[len(self.ghosts) - num_entries :] if len(self.ghosts) > num_entries else self.ghosts

    def victim(self, sizes: dict[Key, int], max_bytes: int) -> Key:
        small_bytes = sum(sizes[key] for key in self.small)
        if not self.main or small_bytes >= max_bytes / 10:
            while self.small:
                if self.freq[self.small[0]] <= 1:
                    return self.small[0]
                self.freq[self.small[0]] = 0
                self.main.append(self.small.pop(0))
        while self.freq[self.main[0]] > 0:
            self.freq[self.main[0]] -= 1
            self.main.append(self.main.pop(0))
        return self.main[0]


MODELS: dict[str, type[Lru] | type[Sieve] | type[S3Fifo]] = {"lru": Lru, "sieve": Sieve, "s3fifo": S3Fifo}
