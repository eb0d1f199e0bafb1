"""Server-sent events: where each one ends, and what those of an OpenAI-compatible stream tell."""

import os
from typing import TYPE_CHECKING

from ._sse_facts import MAX_CHOICES, EventKind

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._sse_py import Event, EventScanner, StreamState, error_of
else:
    try:
        from ._sse_c import Event, EventScanner, StreamState, error_of
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._sse_py import Event, EventScanner, StreamState, error_of

__all__ = ["MAX_CHOICES", "Event", "EventKind", "EventScanner", "StreamState", "error_of"]
