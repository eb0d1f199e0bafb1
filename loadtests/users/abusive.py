"""A client that heeds no refusal."""

from __future__ import annotations

from .chat import ChatUser


class AbusiveUser(ChatUser):
    """Asks for completions far above its limit, and goes on, whatever Retry-After says."""

    kind = "abusive"
