"""What the generator saw: one record for each request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO

import orjson

OK = "ok"
LIMITED = "limited"  # 429
REFUSED = "refused"  # another error of the form that clients are promised
BROKEN = "broken"  # an answer that ended early, or is not what it should be
UNANSWERED = "unanswered"  # no answer: no connection, a reset, or none in time
UNSENT = "unsent"  # the generator had too many under way
OUTCOMES = (OK, LIMITED, REFUSED, BROKEN, UNANSWERED, UNSENT)


@dataclass(frozen=True, slots=True)
class Record:
    """One request, with instants in seconds of the run.

    `due_s` is when it should have been sent, and `late_s` how long after that it was. `seconds` is from `due_s` to the
    end of the answer, so that a generator that waits hides nothing. `again` counts the tries before this one.
    """

    kind: str
    key: str
    address: str
    due_s: float
    late_s: float
    seconds: float
    first_s: float
    status: int
    outcome: str
    target: str
    detail: str
    again: int
    body_bytes: int

    @property
    def end_s(self) -> float:
        """When the answer was whole."""
        return self.due_s + self.seconds


def write(records: Iterable[Record], file: IO[bytes]) -> None:
    """Append records to a file, one a line."""
    file.writelines(orjson.dumps(astuple(record)) + b"\n" for record in records)


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a file."""
    with path.open("rb") as file:
        for line in file:
            yield Record(*orjson.loads(line))
