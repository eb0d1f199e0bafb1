"""Completions in OpenAI's shape, whole and streamed, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from .answer import Piece
from .asked import Asked

# Fixed, so that the same request gets the same bytes.
_CREATED_S = 1_700_000_000
# Where a text goes: no name holds this character, nor what orjson writes for it.
_MARKED = "\0"
_MARK = b"\\u0000"

_ROLE = {"role": "assistant", "content": ""}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Completion:
    """A text, and how much of it each choice gets (`counts`, in tokens).

    Without a `finish_reason` a stream has nothing behind its tokens; a whole answer says null.
    """

    id: str
    model: str
    asked: Asked
    tokens: tuple[str, ...]
    counts: tuple[int, ...]
    finish_reason: str | None
    has_usage: bool
    has_done: bool = True

    def stream(self) -> Iterator[Piece]:
        """Yield the frames of a stream. The frame with the role comes with a choice's first token, as one piece."""
        for number in range(max(self.counts)):
            for index, count in enumerate(self.counts):
                if number < count:
                    opening = b"" if number or not self.asked.is_chat else self._frame(index, _ROLE, None)
                    yield Piece(opening + self._frame(index, {"content": self.tokens[number]}, None), "token")
        if self.finish_reason is None:
            return
        for index, count in enumerate(self.counts):
            last = {} if count or not self.asked.is_chat else _ROLE
            yield Piece(self._frame(index, last, self.finish_reason), "tail")
        if self.has_usage:
            usage = {**self._common(), "choices": [], "usage": self._usage()}
            yield Piece(_event(usage), "tail")
        if self.has_done:
            yield Piece(DONE, "tail")

    def whole(self) -> Iterator[Piece]:
        """Yield a whole answer, cut at its tokens."""
        choices = [self._choice(index) for index in range(len(self.counts))]
        usage = {"usage": self._usage()} if self.has_usage else {}
        *leads, tail = orjson.dumps({**self._common(), "choices": choices, **usage}).split(_MARK)
        for lead, count in zip(leads, self.counts, strict=True):
            yield Piece(lead, "lead")
            for token in self.tokens[:count]:
                yield Piece(orjson.dumps(token)[1:-1], "token")
        yield Piece(tail, "tail")

    def _choice(self, index: int) -> dict[str, object]:
        text: dict[str, object] = {"text": _MARKED}
        if self.asked.is_chat:
            text = {"message": {"role": "assistant", "content": _MARKED, "refusal": None}}
        return {"index": index, **text, "logprobs": None, "finish_reason": self.finish_reason}

    def _frame(self, index: int, text: dict[str, str], reason: str | None) -> bytes:
        said: dict[str, object] = {"delta": text} if self.asked.is_chat else {"text": text.get("content", "")}
        choice = {"index": index, **said, "logprobs": None, "finish_reason": reason}
        # With include_usage every frame has the field; only the last one fills it.
        usage = {"usage": None} if self.has_usage else {}
        return _event({**self._common(), "choices": [choice], **usage})

    def _common(self) -> dict[str, object]:
        kind = "text_completion"
        if self.asked.is_chat:
            kind = "chat.completion.chunk" if self.asked.is_stream else "chat.completion"
        return {"id": self.id, "object": kind, "created": _CREATED_S, "model": self.model}

    def _usage(self) -> dict[str, int]:
        prompt, completion = self.asked.num_prompt_tokens, sum(self.counts)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _event(value: object) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
