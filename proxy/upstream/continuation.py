"""What a target needs to know to continue a stream that another one began."""

from __future__ import annotations

from dataclasses import dataclass

FIELD = b"X-Headgate-Numerics"
MEMBER = "headgate_resume"


@dataclass(frozen=True, slots=True)
class Continuation:
    """The cursors of all events that were passed on, in order, and the id of what decided their bits.

    Only a target of the same numerics goes on exactly where the first one stopped.
    """

    cursors: tuple[bytes, ...]
    numerics: bytes


@dataclass(frozen=True, slots=True)
class Prefill:
    """The text that was passed on, and how many events it took: where nobody can go on exactly, some go on from it."""

    text: str
    num_events: int
