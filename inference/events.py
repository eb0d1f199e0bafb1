"""The events of a streamed answer: made of the steps of a generation, each with its cursor.

They are a function of the answer's constant fields and of the steps alone, so a generation that is run again, here or
elsewhere, makes the same bytes. Events that the client has already are made like all others, compared and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .answers import Answer, Json, Usage, event
from .cursor import Cursor, CursorWriter
from .generate import ReplayDiverged, Step


class EventStream:
    """Makes events of steps. Each token belongs to the first event that follows it."""

    def __init__(self, answer: Answer, writer: CursorWriter, prompt_tokens: int, delivered: Sequence[str] = ()) -> None:
        self._answer, self._writer, self._prompt_tokens = answer, writer, prompt_tokens
        self._delivered = delivered
        self._index = self._position = 0
        # Tokens whose text is held back, or that have none: at most max_tokens.
        self._pending: list[int] = []

    def push(self, step: Step) -> Iterator[bytes]:
        """Give the events that this step completes and the client lacks; after the last step, all that remain.

        Raises: ReplayDiverged, before any event that the client lacks.
        """
        for body in self._bodies(step):
            cursor = self._writer.write(Cursor(self._index, self._position, tuple(self._pending)))
            if self._index >= len(self._delivered):
                yield event(body, cursor)
            elif cursor != self._delivered[self._index]:
                raise ReplayDiverged(f"event {self._index}: the delivered one is not the one made here")
            self._index += 1
            self._position += len(self._pending)
            self._pending.clear()
        if step.finish_reason is not None and self._index < len(self._delivered):
            raise ReplayDiverged(f"expected {len(self._delivered)} events as delivered, made {self._index}")

    def _bodies(self, step: Step) -> Iterator[Json]:
        answer = self._answer
        if self._index == 0:
            yield answer.first_chunk()
        self._pending.append(step.token)
        if step.text:
            yield answer.text_chunk(step.text)
        if step.finish_reason is None:
            return
        yield answer.last_chunk(step.finish_reason)
        if answer.has_stream_usage:
            yield answer.usage_chunk(Usage(self._prompt_tokens, self._position))
