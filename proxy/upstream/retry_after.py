"""The Retry-After field (RFC 9110 §10.2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_s(fields: Sequence[tuple[bytes, bytes]], now: datetime | None = None) -> float | None:
    """Return how many seconds an answer asks to wait; None where it does not say, or not readably."""
    for name, value in fields:
        if name.lower() == b"retry-after":
            return _seconds(value.decode("latin-1").strip(), now)
    return None


def _seconds(value: str, now: datetime | None) -> float | None:
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= 9 else None
    try:
        instant = parsedate_to_datetime(value)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        return max(0.0, (instant - (now or datetime.now(UTC))).total_seconds())
    except (TypeError, ValueError, OverflowError):  # a year that no calendar here knows, too
        return None
