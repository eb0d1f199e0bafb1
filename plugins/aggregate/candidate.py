"""An answer that may be chosen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A branch's good answer, as scorers see it.

    `body` is the whole answer, decoded; `content` what it says: the text of a completion, else the body in a form in
    which equal values are equal. `weight` are the branch's votes.
    """

    name: str
    content: str
    body: bytes
    media_type: str
    weight: int = 1
