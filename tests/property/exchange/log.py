"""What is written down while scripted exchanges run, and read by their laws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from headgate.proxy.exchange.attempt import Phase, Purpose
from headgate.proxy.exchange.gate import Report
from headgate.proxy.exchange.states import State


@dataclass(frozen=True)
class Entry:
    """Something that happened, and when."""

    at: float


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Asked(Entry):
    """The gate was asked whether an attempt may begin."""

    target: int
    purpose: Purpose
    is_granted: bool


@dataclass(frozen=True)
class Told(Entry):
    """The gate heard how an attempt ended."""

    number: int
    target: int
    report: Report


@dataclass(frozen=True)
class HeardBegin(Entry):
    """The gate heard that an attempt's answer had begun."""

    number: int


@dataclass(frozen=True)
class Given(Entry):
    """The machine gave out an attempt, to start at `starts_at`; `after` is what came before it."""

    number: int
    target: int
    purpose: Purpose
    starts_at: float
    is_fresh: bool
    after: Heard | None


@dataclass(frozen=True)
class Started(Entry):
    """An attempt started."""

    number: int
    target: int
    purpose: Purpose


@dataclass(frozen=True)
class Moved(Entry):
    """An attempt came further, or bytes of it moved: its time begins anew. `phase` is the one it is in now."""

    number: int
    phase: Phase


@dataclass(frozen=True)
class BodyGone(Entry):
    """The request's body is no longer there."""


@dataclass(frozen=True)
class Held(Entry):
    """So much of an answer was held back; `is_enough`: it goes to the client now."""

    number: int
    num_tokens: int
    size_bytes: int
    is_enough: bool


@dataclass(frozen=True)
class Heard(Entry):
    """The machine heard of an error (`kind`), or of a head (`kind` is then "head")."""

    number: int
    target: int
    kind: str
    status: int
    retry_after_s: float | None
    is_too_long: bool
    has_sent: bool
    is_replayable: bool
    can_resume: bool
    state: State
    has_others: bool
    is_by_timer: bool


@dataclass(frozen=True)
class Began(Entry):
    """The machine was told that an attempt's answer began, by its head or its first event."""

    number: int


@dataclass(frozen=True)
class Committed(Entry):
    """The client gets this attempt's answer. So much was held back until then."""

    number: int
    num_tokens: int
    size_bytes: int
    status: int


@dataclass(frozen=True)
class Piece(Entry):
    """The client got a piece of the answer; `position` counts from its beginning."""

    number: int
    position: int


@dataclass(frozen=True)
class Aborted(Entry):
    """The driver aborted what the machine left behind."""

    number: int


@dataclass(frozen=True)
class Ended(Entry):
    """The exchange is over."""

    kind: str
    state: State


@dataclass
class Log:
    """The entries of one exchange, in their order."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Write down."""
        self.entries.append(entry)

    def of(self, kind: type[E]) -> list[E]:
        """Return the entries of one kind."""
        return [entry for entry in self.entries if isinstance(entry, kind)]

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Log) and self.entries == other.entries

    def __hash__(self) -> int:
        return id(self)
