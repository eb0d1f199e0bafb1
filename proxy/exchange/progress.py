"""How far the event stream of an inference answer has come, and whether it is whole.

One exchange has one progress, whatever number of attempts its stream takes: what was passed on counts, not who sent it.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ext.sse import Event, EventKind, EventScanner, StreamState, error_of
from ..errors import GatewayError
from .transcript import Transcript

DONE = b"data: [DONE]\n\n"
MAX_CURSOR_BYTES = 1 << 20
_BLANKS = b" \t\n\r"
_BROKEN = frozenset({EventKind.ERROR, EventKind.MALFORMED, EventKind.OVERFLOW})


class Progress:
    """Takes the events of a stream in order and says what of them goes on to the client.

    `cursors` are the ids of the events passed on; `is_resumable` as long as each event with data had one.
    `num_events` counts those with data, `num_tokens` those with content. `has_begun`: there is something that a client
    would show, or at least a second chunk; the first chunk often names the role alone, long before the first token.
    `transcript` is what was said, where that is kept, and `scanner` what the events come from. `is_usage_owed`: the
    client asked for the usage, and it can be fetched should it not come.

    `is_strict`: the stream is one of completions. It is whole only with a finish_reason for every choice, and an event
    that no client could read breaks it, or is left out where `is_skipping`. Any other stream is passed on as it is:
    only an error in place of its first event counts.
    """

    __slots__ = (
        "_cursor_bytes",
        "_is_refused",
        "_is_skipping",
        "cursors",
        "has_begun",
        "has_chunks",
        "is_resumable",
        "is_strict",
        "is_usage_owed",
        "num_events",
        "num_tokens",
        "scanner",
        "state",
        "transcript",
    )

    def __init__(
        self,
        num_choices: int = 1,
        *,
        is_strict: bool = True,
        is_skipping: bool = False,
        transcript: Transcript | None = None,
    ) -> None:
        self.state = StreamState(num_choices)
        self.scanner: EventScanner | None = None
        self.is_strict = is_strict
        self._is_skipping = is_skipping
        self._is_refused = False
        self._cursor_bytes = 0
        self.cursors: list[bytes] = []
        self.is_resumable = True
        self.is_usage_owed = False
        self.has_begun = False
        self.has_chunks = False
        self.num_events = 0
        self.num_tokens = 0
        self.transcript = transcript

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the answer is missing but its formal end."""
        return self.is_strict and (self.state.is_done or self.state.is_finished or self._is_refused)

    @property
    def lacks_usage(self) -> bool:
        """Whether the usage is owed and has not come."""
        is_open = self.state.is_finished and not self.state.is_done
        return self.is_usage_owed and self.is_resumable and is_open and self.state.prompt_tokens is None

    @property
    def is_steady(self) -> bool:
        """Whether chunks that tell nothing new change nothing here but their number, see `passed`."""
        return self.has_chunks and self.state.has_content and not self.is_resumable and self.transcript is None

    def passed(self, num: int) -> None:
        """So many chunks with content that told nothing new were passed on, all of which the state has seen."""
        self.num_events += num
        self.num_tokens += num

    def take(self, events: Sequence[Event]) -> tuple[bytes, GatewayError | None]:
        """Return the bytes to pass on, up to the first event that breaks the stream, and the error that this is."""
        passed: list[bytes] = []
        for event in events:
            if self._is_early_end(event):  # before the state hears of it: to the state nothing comes after an end
                return b"".join(passed), _unfinished("[DONE] came")
            kind = self.state.see(event)
            if kind in _BROKEN and (self.is_strict or (kind is EventKind.ERROR and not self.has_begun)):
                error = self._broken(event, kind)
                if error is not None:
                    return b"".join(passed), error
                if not self._is_refused:
                    continue
            elif event.data is not None:
                self._note(event, kind)
            passed.append(event.raw)
            self.num_events += event.data is not None
        return (passed[0] if len(passed) == 1 else b"".join(passed)), None

    def _broken(self, event: Event, kind: EventKind) -> GatewayError | None:
        """Return the failure that an event is; None where it is to be left out, or is the client's to see."""
        if self.is_whole or (self._is_skipping and kind is EventKind.MALFORMED):
            return None
        if kind is not EventKind.ERROR:
            return GatewayError("malformed_event", f"an event that is {kind.name.lower()}")
        error_type, code, message = error_of(event)
        if "content_filter" in (error_type, code):  # never routed around
            self._is_refused = self.has_begun = True
            return None
        detail = f"the stream reports {code or error_type or 'an error'}: {message}"
        return GatewayError("error_event", detail, event=event.raw)

    def end(self, rest: bytes) -> bytes:
        """Return what completes a stream that ended cleanly; `rest` is its unfinished event.

        Raises: GatewayError `truncated` where a choice has no finish_reason yet.
        """
        if not self.is_strict:
            return rest
        if self.state.is_done or self._is_refused:
            return b""
        if self.state.is_finished:
            return DONE
        if self.has_chunks or not self.has_begun:
            raise _unfinished("the stream ended")
        return rest  # another API's events: their end is no business of ours

    def _is_early_end(self, event: Event) -> bool:
        """Whether the end of a stream is told before it: of another API's events we cannot know."""
        if event.data is None or event.data.strip(_BLANKS) != b"[DONE]" or event.name == b"error" or not self.is_strict:
            return False
        return not self.is_whole and (self.has_chunks or not self.has_begun)

    def _note(self, event: Event, kind: EventKind) -> None:
        if kind is EventKind.DELTA:
            self.has_begun = self.has_begun or self.state.has_content or self.has_chunks or self.state.is_finished
            self.has_chunks = True
            self.num_tokens += self.state.has_content  # what names the role alone comes before any content
            if self.transcript is not None and event.data is not None:
                self.transcript.note(event.data)
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


def _unfinished(what: str) -> GatewayError:
    return GatewayError("truncated", f"{what} without a finish_reason for every choice")
