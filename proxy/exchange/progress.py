"""How far the event stream of an inference answer has come, and whether it is whole.

One exchange has one progress, whatever number of attempts its stream takes: what was passed on counts, not who sent it.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ext.sse import Event, EventKind, StreamState, error_of
from ..errors import GatewayError

DONE = b"data: [DONE]\n\n"
MAX_CURSOR_BYTES = 1 << 20
_BROKEN = frozenset({EventKind.ERROR, EventKind.MALFORMED, EventKind.OVERFLOW})


class Progress:
    """Takes the events of a stream in order and says what of them goes on to the client.

    `cursors` are the ids of the events passed on; `is_resumable` as long as each event with data had one.
    `num_tokens` counts events with content. `has_begun`: there is something that a client would show, or at least a
    second chunk; the first chunk often names the role alone, long before the first token.

    `is_strict`: events that no client of such a stream could read break it, or are left out where `is_skipping`.
    """

    __slots__ = (
        "_cursor_bytes",
        "_is_refused",
        "_is_skipping",
        "_is_strict",
        "cursors",
        "has_begun",
        "has_chunks",
        "is_resumable",
        "num_tokens",
        "state",
    )

    def __init__(self, num_choices: int = 1, *, is_strict: bool = True, is_skipping: bool = False) -> None:
        self.state = StreamState(num_choices)
        self._is_strict = is_strict
        self._is_skipping = is_skipping
        self._is_refused = False
        self._cursor_bytes = 0
        self.cursors: list[bytes] = []
        self.is_resumable = True
        self.has_begun = False
        self.has_chunks = False
        self.num_tokens = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the answer is missing but its formal end."""
        return self.state.is_done or self.state.is_finished or self._is_refused

    def take(self, events: Sequence[Event]) -> tuple[bytes, GatewayError | None]:
        """Return the bytes to pass on, up to the first event that breaks the stream, and the error that this is."""
        passed: list[bytes] = []
        for event in events:
            kind = self.state.see(event)
            if kind in _BROKEN and (self._is_strict or kind is EventKind.ERROR):
                error = self._broken(event, kind)
                if error is not None:
                    return b"".join(passed), error
                if not self._is_refused:
                    continue
            elif event.data is not None:
                self._note(event, kind)
            passed.append(event.raw)
        return (passed[0] if len(passed) == 1 else b"".join(passed)), None

    def _broken(self, event: Event, kind: EventKind) -> GatewayError | None:
        """Return the failure that an event is; None where it is to be left out, or is the client's to see."""
        if self.is_whole or (self._is_skipping and kind is not EventKind.ERROR):
            return None
        if kind is not EventKind.ERROR:
            return GatewayError("malformed_event", f"an event that is {kind.name.lower()}")
        error_type, code, message = error_of(event)
        if "content_filter" in (error_type, code):  # never routed around
            self._is_refused = self.has_begun = True
            return None
        return GatewayError("error_event", f"the stream reports {code or error_type or 'an error'}: {message}")

    def end(self, rest: bytes) -> bytes:
        """Return what completes a stream that ended cleanly; `rest` is its unfinished event.

        Raises: GatewayError `truncated` where a choice has no finish_reason yet.
        """
        if self.state.is_done or self._is_refused:
            return b""
        if self.state.is_finished:
            return DONE
        if self.has_chunks:
            raise GatewayError("truncated", "the stream ended without a finish_reason for every choice")
        return rest  # another API's events: their end is no business of ours

    def _note(self, event: Event, kind: EventKind) -> None:
        if kind is EventKind.DELTA:
            self.has_begun = self.has_begun or self.state.has_content or self.has_chunks or self.state.is_finished
            self.has_chunks = True
            self.num_tokens += 1
        else:
            self.has_begun = True
        if kind is EventKind.DONE:
            return
        if not event.id or self._cursor_bytes + len(event.id) > MAX_CURSOR_BYTES:
            self.is_resumable = False
            self.cursors.clear()
        elif self.is_resumable:
            self._cursor_bytes += len(event.id)
            self.cursors.append(event.id)
