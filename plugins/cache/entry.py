"""One stored answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .key import Key
from .vary import Vary

Pair = tuple[bytes, bytes]

# What the interpreter needs beside the bytes themselves; measured, and held by a test.
ENTRY_BYTES = 1482
FIELD_BYTES = 136
VARY_BYTES = 220


class Staleness(NamedTuple):
    """What may become of an answer that is no longer fresh, in seconds from then on.

    It is kept for `kept_s`. It may be given while another is fetched, for `revalidating_s`, and in place of a failure,
    for `if_error_s`; never without a successful validation where `is_forbidden`.
    """

    kept_s: float = 0.0
    revalidating_s: float = 0.0
    if_error_s: float = 0.0
    is_forbidden: bool = False


GONE_WHEN_STALE = Staleness()


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An answer with status, end-to-end fields and body, and how fresh it is.

    `stored_at` is an instant of the loop's clock, at which the answer was `initial_age_s` old; it was asked for at
    `asked_at`, or before all others. `place` is the same for answers to the same requests. Where it is so for others,
    by chance, the newer one takes the other's place: no harm.
    """

    key: Key
    vary: Vary
    status: int
    fields: tuple[Pair, ...]
    body: bytes
    stored_at: float
    initial_age_s: float
    lifetime_s: float
    staleness: Staleness = GONE_WHEN_STALE
    asked_at: float = float("-inf")
    place: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", hash((self.key, self.vary)))

    @property
    def expires_at(self) -> float:
        """The instant from which on it is no longer fresh."""
        return self.stored_at + self.lifetime_s - self.initial_age_s

    @property
    def kept_until(self) -> float:
        """The instant from which on it is of no use at all."""
        return self.expires_at + self.staleness.kept_s

    @property
    def size_bytes(self) -> int:
        """What it costs of the budget. Cost: linear in the number of fields."""
        return head_bytes(self.key, self.vary, self.fields) + len(self.body)

    def age_s(self, now: float) -> float:
        """Return its age. Source: RFC 9111 §4.2.3."""
        here_s = now - self.stored_at
        return self.initial_age_s + here_s if here_s > 0.0 else self.initial_age_s

    def value(self, name: bytes) -> str | None:
        """The first field `name` (lower-case)."""
        return next((value.decode("latin-1") for key, value in self.fields if key.lower() == name), None)


def head_bytes(key: Key, vary: Vary, fields: tuple[Pair, ...]) -> int:
    """Return what an entry costs of the budget before its body."""
    size = ENTRY_BYTES + key.size_bytes
    size += sum(VARY_BYTES + len(name) + 2 * len(value or "") for name, value in vary)
    return size + sum(FIELD_BYTES + len(name) + len(value) for name, value in fields)
