"""Answers in OpenAI's shape: whole, and as the chunks of a stream."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from .generate import FinishReason

Json = dict[str, object]

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Usage:
    """Counted tokens of one exchange; a sampled end-of-text token counts."""

    prompt_tokens: int
    completion_tokens: int

    def body(self) -> Json:
        """Give the JSON object."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer's constant fields. `seed` is told as a field of its own: in the whole answer, or the first chunk."""

    completion_id: str
    created: int
    model: str
    fingerprint: str
    seed: int
    is_chat: bool
    has_stream_usage: bool

    def whole(self, text: str, reason: FinishReason, usage: Usage) -> Json:
        """Give the answer to a request without `stream`."""
        choice: Json = {"index": 0, "logprobs": None, "finish_reason": reason}
        if self.is_chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        head = self._head("chat.completion" if self.is_chat else "text_completion")
        return {**head, "choices": [choice], "usage": usage.body(), "seed": self.seed}

    def first_chunk(self) -> Json:
        """Give the chunk that opens a stream: the role, and no text yet."""
        delta: Json = {"role": "assistant", "content": ""}
        return {**self._chunk(delta, "", None), "seed": self.seed}

    def text_chunk(self, text: str) -> Json:
        """Give a chunk of text."""
        return self._chunk({"content": text}, text, None)

    def last_chunk(self, reason: FinishReason) -> Json:
        """Give the chunk that says why the text ended."""
        return self._chunk({}, "", reason)

    def usage_chunk(self, usage: Usage) -> Json:
        """Give the chunk that follows the last one where usage was asked for."""
        return {**self._head(self._chunk_object()), "choices": [], "usage": usage.body()}

    def _chunk(self, delta: Json, text: str, reason: FinishReason | None) -> Json:
        choice: Json = {"index": 0, "logprobs": None, "finish_reason": reason}
        if self.is_chat:
            choice["delta"] = delta
        else:
            choice["text"] = text
        chunk: Json = {**self._head(self._chunk_object()), "choices": [choice]}
        # With include_usage every chunk has the field; only the last one fills it.
        return {**chunk, "usage": None} if self.has_stream_usage else chunk

    def _chunk_object(self) -> str:
        return "chat.completion.chunk" if self.is_chat else "text_completion"

    def _head(self, kind: str) -> Json:
        return {
            "id": self.completion_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def event(body: Json, cursor: str | None = None) -> bytes:
    """Give one server-sent event that holds this object; an error has no cursor, for nothing can follow it."""
    head = b"" if cursor is None else b"id: " + cursor.encode() + b"\n"
    return head + b"data: " + orjson.dumps(body) + b"\n\n"
