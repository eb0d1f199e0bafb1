"""Resume of a stream that was cut: what the client has, read from the cursors it sends back.

The request is the first one over again, with the cursors of all delivered events. The server runs it again from the
prompt, compares, and sends what follows. A longer prefill would round differently, so there is no shorter way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from .cursor import Cursor, CursorWriter, Origin, max_chars, read_cursor, read_origin
from .generate import GenerationRequest
from .openai_api import RESUME_MEMBER, ApiError, Ask

# Events that need no token of their own: the one that opens, the finish reason, the usage.
_EVENTS_WITHOUT_TOKENS = 3
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Delivered:
    """The events that the client has, at least one."""

    origin: Origin
    cursors: tuple[Cursor, ...]
    texts: tuple[str, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens of these events."""
        return tuple(token for cursor in self.cursors for token in cursor.ids)

    def check(self, writer: CursorWriter) -> None:
        """Prove that each cursor was written for this request, at these numerics, in one stream.

        Raises: ApiError.
        Cost: O(ids).
        """
        for index, (cursor, text) in enumerate(zip(self.cursors, self.texts, strict=True)):
            if writer.write(cursor) != text:
                raise invalid_cursor(
                    index, "it is damaged, or from another request, stream or model; send the request as it was"
                )


def read_delivered(texts: Sequence[str], max_tokens: int) -> Delivered:
    """Read the cursors of all delivered events, in order.

    Raises: ApiError where they are too many, cannot be read, or do not join.
    Cost: O(ids); nothing longer than `max_tokens` allows is decoded.
    """
    if len(texts) > max_tokens + _EVENTS_WITHOUT_TOKENS:
        raise invalid_cursor(None, f"expected at most {max_tokens + _EVENTS_WITHOUT_TOKENS} cursors, got {len(texts)}")
    cursors, position = [], 0
    for index, text in enumerate(texts):
        cursor = _read(index, text, max_tokens - position)
        if cursor.index != index:
            raise invalid_cursor(index, f"expected the cursor of event {index}, got that of event {cursor.index}")
        if cursor.position != position:
            raise invalid_cursor(index, f"expected {position} tokens before this event, got {cursor.position}")
        position += len(cursor.ids)
        if position > max_tokens:
            raise invalid_cursor(index, f"expected at most {max_tokens} tokens in all, got more")
        cursors.append(cursor)
    return Delivered(read_origin(texts[0]), tuple(cursors), tuple(texts))


def request_digest(numerics: str, ask: Ask, generation: GenerationRequest) -> bytes:
    """Digest all that decides a stream beside its origin: resuming another request would glue two answers."""
    sampling = generation.sampling
    facts = [
        numerics,
        ask.model,
        ask.messages is not None,
        ask.has_stream_usage,
        generation.max_tokens,
        [sampling.temperature, sampling.top_p],
        generation.stops,
        generation.prompt_ids,
    ]
    return blake2b(orjson.dumps(facts), digest_size=_DIGEST_BYTES).digest()


def invalid_cursor(index: int | None, problem: str) -> ApiError:
    """Make the error for a list of cursors that nothing can follow; `index` says which one."""
    where = RESUME_MEMBER if index is None else f"{RESUME_MEMBER}[{index}]"
    return ApiError(f"{where}: {problem}", code="invalid_cursor", param=RESUME_MEMBER)


def _read(index: int, text: str, max_ids: int) -> Cursor:
    if len(text) > max_chars(max_ids):
        raise invalid_cursor(index, f"expected at most {max_chars(max_ids)} characters, got {len(text)}")
    try:
        if index == 0:
            read_origin(text)
        return read_cursor(text, is_first=index == 0)
    except ValueError as error:
        raise invalid_cursor(index, str(error)) from None
