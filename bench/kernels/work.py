"""What the program asks of its workers, and what comes back: a line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

TRACE_CHARACTERS = 1500  # of a log or a traceback that are kept


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to do, within `seconds`.

    `kind` is `machine`, `ceilings`, `check`, `plant`, `compile`, `time`, `twin`, `peer`, `sweep`, `touch` or `overrun`.
    `number` says which of the kernel's shapes or plants, `detail` which type, peer, or part of the configurations.
    """

    kind: str
    kernel: str = ""
    number: int = 0
    detail: str = ""
    seed: int = 20
    seconds: float = 60.0

    def line(self) -> str:
        """Return it as a line."""
        return json.dumps(asdict(self)) + "\n"

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.kind, self.kernel, self.detail) if part)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an item: `found`, or else `failure`, which says why nothing did.

    `trace` is the end of a log. `is_fatal`: its process can do no more. `is_late`: it was ended for being late.
    """

    item: Item
    found: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""
    trace: str = ""
    seconds: float = 0.0
    is_fatal: bool = False
    is_late: bool = False

    def line(self) -> str:
        """Return it as a line, without the item."""
        content = {name: getattr(self, name) for name in ("found", "failure", "trace", "seconds", "is_fatal")}
        return json.dumps(content) + "\n"

    @classmethod
    def of(cls, item: Item, line: str) -> Done:
        """Return what a line says of an item. Raises: ValueError for a line that is no such thing."""
        content = json.loads(line)
        if not isinstance(content, dict) or not content.keys() <= {"found", "failure", "trace", "seconds", "is_fatal"}:
            raise ValueError(f"expected what came of `{item}`, got {line[:80]!r}")
        return cls(item, **content)


def within(item: Item, seconds: float) -> Item:
    """Return the item with no more time than that."""
    return replace(item, seconds=min(item.seconds, seconds))
