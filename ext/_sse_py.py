"""Server-sent events in pure Python: the specification of the compiled ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ._http1_body_py import ChunkScanner
from ._http1_facts import ChunkError
from ._sse_facts import MAX_CHOICES, MAX_PLAIN_BYTES, EventKind, Facts, error_in, facts_of

__all__ = ["Event", "EventKind", "EventScanner", "StreamState", "error_of"]

_BOM = b"\xef\xbb\xbf"
_PLAIN = re.compile(rb"data: ?([^\r\n]*+)\n\n")


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it came. Immutable.

    `raw` is all of it, with the blank line that ends it; `data` its data lines joined by LF, None where it has none;
    `name` its `event` field; `id` its `id` field, None where it has none or one with a NUL. `is_overflow` marks a part
    of an event that was larger than the scanner's limit: of such a part nothing was read.
    """

    raw: bytes
    data: bytes | None = None
    name: bytes = b""
    id: bytes | None = None
    is_overflow: bool = False


class EventScanner:
    """Cuts a byte stream into whole events, whatever pieces it comes in: the events do not depend on the pieces.

    A line ends with LF, CRLF or CR, an event with the first blank line, so that a blank line too many is an event by
    itself. Joined by `raw`, the events and the `rest` give the stream back. An event is given out with its last byte;
    only one that ends in CR waits for the byte after it, or for `finish`.
    An event larger than `limit_bytes` is given out in parts of that size (the last may be smaller), each marked by
    `is_overflow`, and `is_overflowing` is set for good; the event after it is read as any other. `is_inside`: of the
    event under way parts were given out.
    Source: WHATWG HTML §9.2.5 and §9.2.6.
    """

    __slots__ = ("_held", "_limit_bytes", "_line_at", "_mark_bytes", "_seen_bytes", "is_inside", "is_overflowing")

    def __init__(self, limit_bytes: int = 1 << 20) -> None:
        """Raises: ValueError where `limit_bytes` is less than a byte order mark takes."""
        if limit_bytes < len(_BOM):
            raise ValueError(f"expected limit_bytes of at least {len(_BOM)}, got {limit_bytes}")
        self._limit_bytes = limit_bytes
        self._held = bytearray()
        self._seen_bytes = 0  # of what is held, those known to hold no end
        self._line_at = 0  # where the line under way began; below 0 where that was given out
        self._mark_bytes: int | None = None  # of the byte order mark of an event at the stream's start; None: not known
        self.is_inside = False
        self.is_overflowing = False

    @property
    def held_bytes(self) -> int:
        """How much is held of an unfinished event: never more than the limit."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes. Cost: linear in `data`, however much is held."""
        self._held += data
        if self._mark_bytes is None and not self._find_mark():
            return []
        return self._cut(is_last=False)

    def finish(self) -> list[Event]:
        """The stream has ended: return the event, if any, whose blank line is a CR that no LF will follow."""
        return self._cut(is_last=True)

    def rest(self) -> bytes:
        """Take what is held of an unfinished event. What is fed after that is read as a new event."""
        held = bytes(self._held)
        self._held.clear()
        self._seen_bytes = self._line_at = self._mark_bytes = 0
        self.is_inside = False
        return held

    def _find_mark(self) -> bool:
        """Look for a byte order mark at the stream's start. Returns whether that is settled."""
        if len(self._held) < len(_BOM) and _BOM.startswith(self._held):
            return False
        self._line_at = self._mark_bytes = len(_BOM) if self._held.startswith(_BOM) else 0
        return True

    def _cut(self, *, is_last: bool) -> list[Event]:
        events: list[Event] = []
        start, position = 0, self._seen_bytes
        num_sure_bytes = len(self._held)
        if not is_last and self._held.endswith(b"\r"):
            num_sure_bytes -= 1  # it may be half of a CRLF
        for line in self._held[position:].splitlines(keepends=True):  # the first may be the end of one seen in part
            end = position + len(line)
            if end > num_sure_bytes or not line.endswith((b"\n", b"\r")):
                break
            if position + len(line.rstrip(b"\r\n")) == self._line_at:
                start = self._cut_parts(events, start, end)
                events.append(self._event(bytes(self._held[start:end])))
                start = end
            self._line_at = position = end
        start = self._cut_parts(events, start, len(self._held))
        self._seen_bytes = num_sure_bytes - start
        self._line_at -= start
        del self._held[:start]
        return events

    def _cut_parts(self, events: list[Event], start: int, end: int) -> int:
        """Give out what is too much of an event that reaches from `start` to `end` or on. Returns its new start."""
        while end - start > self._limit_bytes:
            events.append(Event(bytes(self._held[start : start + self._limit_bytes]), is_overflow=True))
            start += self._limit_bytes
            self.is_overflowing = self.is_inside = True
        return start

    def _event(self, raw: bytes) -> Event:
        is_overflow, self.is_inside = self.is_inside, False
        mark_bytes, self._mark_bytes = self._mark_bytes or 0, 0
        return Event(raw, is_overflow=True) if is_overflow else read_event(raw, mark_bytes)


def read_event(raw: bytes, mark_bytes: int) -> Event:
    """Read the fields of a whole event that begins with a byte order mark of `mark_bytes` bytes (3 or 0)."""
    data: list[bytes] = []
    name, id_ = b"", None
    for line in raw[mark_bytes:].splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"id" and b"\0" not in value:
            id_ = value
    return Event(raw, b"\n".join(data) if data else None, name, id_)


class StreamState:
    """What the events of one answer have told so far, as chunks of chat or of text completions.

    `model` is the first one told; of `prompt_tokens` and `completion_tokens` the last told stands. `last_id` is the
    last `id` of an event that was not ERROR, MALFORMED or OVERFLOW: these change nothing here. It is b"" after an
    empty `id`. `num_events` counts those of kind DELTA. `has_content`: a choice has told some text, reasoning or tool
    call. `is_done`: `[DONE]` was seen.
    What is kept is bounded: 128 choices with reasons of at most 64 characters, and one `model` and one `last_id`, each
    no larger than its event.
    """

    __slots__ = (
        "_num_choices",
        "_reasons",
        "completion_tokens",
        "has_content",
        "is_done",
        "last_id",
        "model",
        "num_events",
        "prompt_tokens",
    )

    def __init__(self, num_choices: int = 1) -> None:
        """`num_choices`: how many choices were asked for. Raises: ValueError where that is not from 1 to 128."""
        if not 1 <= num_choices <= MAX_CHOICES:
            raise ValueError(f"expected num_choices from 1 to {MAX_CHOICES}, got {num_choices}")
        self._num_choices = num_choices
        self._reasons: dict[int, str | None] = {}
        self.is_done = False
        self.has_content = False
        self.num_events = 0
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.model: str | None = None
        self.last_id: bytes | None = None

    @property
    def is_finished(self) -> bool:
        """Whether as many choices as were asked for have come, and every one that came has a finish_reason."""
        return len(self._reasons) >= self._num_choices and None not in self._reasons.values()

    def finish_reasons(self) -> dict[int, str]:
        """Return the finish_reason of each choice that has one, in order of index. The last told stands."""
        return {index: reason for index, reason in sorted(self._reasons.items()) if reason is not None}

    def see(self, event: Event) -> EventKind:
        """Take in the next event, and say what it is. Cost: linear in the event."""
        if event.is_overflow:
            return EventKind.OVERFLOW
        if self.is_done and event.data is not None:
            return EventKind.MALFORMED
        if event.name == b"error":
            return EventKind.ERROR
        facts = Facts(EventKind.COMMENT) if event.data is None else facts_of(event.data)
        if facts.kind not in (EventKind.ERROR, EventKind.MALFORMED):
            self._fold(facts)
            self.last_id = self.last_id if event.id is None else event.id
        return facts.kind

    def see_plain(self, data: bytes) -> tuple[int, int] | None:
        """Take in chunks of events that tell nothing new, as they came on a chunked body, from the first byte of one.

        Returns how many events they are and the size of the chunks' data; to `see` each would have changed nothing but
        their number. None, and nothing has happened, where anything is not plainly so: a chunk or event that is not
        whole, more than one line in an event, any news. At most 64 KiB are taken. Cost: linear in `data`.
        """
        scanner = ChunkScanner()
        try:
            body, _ = scanner.decode(data)
        except ChunkError:
            return None
        is_whole = body and scanner.is_between_chunks and not _PLAIN.sub(b"", body)
        if not is_whole or self.is_done or len(data) > MAX_PLAIN_BYTES:
            return None
        lines = _PLAIN.findall(body)
        if any(self._is_news(facts_of(line)) for line in lines):
            return None
        self.num_events += len(lines)
        return len(lines), len(body)

    def _is_news(self, facts: Facts) -> bool:
        """Whether a chunk tells anything but that it is one more with content."""
        if facts.kind is not EventKind.DELTA or (facts.prompt_tokens, facts.completion_tokens) != (None, None):
            return True
        if (facts.has_content and not self.has_content) or (facts.model is not None and self.model is None):
            return True
        return any(reason is not None or index not in self._reasons for index, reason, _ in facts.choices)

    def _fold(self, facts: Facts) -> None:
        for index, reason, _ in facts.choices:
            self._reasons[index] = reason or self._reasons.get(index)
        self.is_done |= facts.kind is EventKind.DONE
        self.num_events += facts.kind is EventKind.DELTA
        self.has_content |= facts.has_content
        self.model = self.model or facts.model
        if facts.prompt_tokens is not None:
            self.prompt_tokens = facts.prompt_tokens
        if facts.completion_tokens is not None:
            self.completion_tokens = facts.completion_tokens


def error_of(event: Event) -> tuple[str | None, str | None, str]:
    """Return (type, code, message) of an event of kind ERROR, as far as they can be read. See `error_in`."""
    return error_in(event.data)
