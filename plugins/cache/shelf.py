"""The store with what belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .entry import Entry
from .flight import Flights
from .key import Key, Uri
from .memory import Memory

if TYPE_CHECKING:
    from .filling import Filling
    from .second.level import Second


class OpenFillings:
    """The answers being collected, by URI: as many as there are exchanges that missed and are not over."""

    __slots__ = ("_by_uri",)

    def __init__(self) -> None:
        self._by_uri: dict[Uri, set[Filling]] = {}

    def __len__(self) -> int:
        return sum(len(fillings) for fillings in self._by_uri.values())

    def __bool__(self) -> bool:
        return bool(self._by_uri)

    def add(self, filling: Filling) -> None:
        """Note that `filling` may be stored later."""
        self._by_uri.setdefault(filling.wanted.key.uri, set()).add(filling)

    def remove(self, filling: Filling) -> None:
        """Note that it will not be."""
        uri = filling.wanted.key.uri
        fillings = self._by_uri.get(uri)
        if fillings is None:
            return
        fillings.discard(filling)
        if not fillings:
            del self._by_uri[uri]

    def spoil_all(self, is_meant: Callable[[Key], bool]) -> None:
        """Keep what is being collected under a key that is meant from being stored. Cost: linear in their number."""
        collecting = [filling for fillings in self._by_uri.values() for filling in fillings]
        for filling in collecting:
            if is_meant(filling.wanted.key):
                filling.spoil()

    def spoil(self, uri: Uri) -> None:
        """Keep what is being collected for `uri` from being stored."""
        for filling in list(self._by_uri.get(uri, ())):
            filling.spoil()


@dataclass(frozen=True, slots=True)
class Shelf:
    """Entries, fetches under way, answers being collected: what outlives a change of the settings.

    `wall` is the wall clock, in seconds since the epoch. `seconds` are the second levels of all instances that use this
    shelf: what is given up here is given up there.
    """

    memory: Memory
    flights: Flights
    open: OpenFillings
    wall: Callable[[], float]
    seconds: list[Second] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that an unsafe request could invalidate."""
        return not (self.open or len(self.memory) or self.seconds)

    def invalidate(self, uri: Uri) -> None:
        """Forget every answer of a URI, and those on their way. Source: RFC 9111 §4.4."""
        self.forget(uri)
        self._tell(uri)

    def evict(self, is_meant: Callable[[Key], bool], uri: Uri | None) -> int:
        """Forget every answer under a key that is meant, and those on their way; return how many were stored.

        Second levels forget all of `uri`; everything, where it is None.
        """
        self._tell(uri)
        self.open.spoil_all(is_meant)
        return self.memory.evict(is_meant)

    def give_up(self, entry: Entry) -> None:
        """Forget one answer, which is known to be wrong. Second levels forget all of its URI."""
        self.memory.remove(entry)
        self._tell(entry.key.uri)

    def forget(self, uri: Uri | None) -> None:
        """Forget every answer of a URI that is here, and those on their way; of every URI, where it is None."""
        if uri is None:
            self.open.spoil_all(_is_any)
            self.memory.evict(_is_any)
        else:
            self.memory.invalidate(uri)
            self.open.spoil(uri)

    def _tell(self, what: Uri | None) -> None:
        for second in self.seconds:
            second.forget(what)


def _is_any(key: Key) -> bool:
    return True
