"""Made-up records."""

from __future__ import annotations

from loadtests.records import OK, Record


def record(due_s: float = 0.0, seconds: float = 0.05, **changed: object) -> Record:
    """Return a request that was answered well, but for what is changed."""
    values: dict[str, object] = {
        "kind": "chat",
        "key": "k001",
        "address": "127.0.0.1",
        "due_s": due_s,
        "late_s": 0.0,
        "seconds": seconds,
        "first_s": seconds,
        "status": 200,
        "outcome": OK,
        "target": "heavy/heavy",
        "detail": "",
        "again": 0,
        "body_bytes": 100,
    }
    return Record(**{**values, **changed})  # type: ignore[arg-type]
