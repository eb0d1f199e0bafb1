"""Something that the caller of a command has to change."""

from __future__ import annotations


class UsageError(Exception):
    """A wrong argument; the message says which, and what was wanted."""
