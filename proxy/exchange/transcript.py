"""What a streamed chat answer has said so far, as long as that is plain text.

Pure. It is kept only where a target could be told it, to go on from there.
"""

from __future__ import annotations

from typing import Any

import orjson

MAX_TEXT_BYTES = 256 << 10
_IDENTITY = ("id", "created")


class Transcript:
    """Takes the chunks that were passed on, in order.

    `is_plain`: they told one choice, and nothing of it but text, of at most MAX_TEXT_BYTES; what is not plain once
    never is again, and its text is given up. `num_events` counts chunks with text. `identity` is what the first chunk
    said of the answer as a whole.
    """

    __slots__ = ("_pieces", "_size_bytes", "identity", "is_plain", "num_events")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size_bytes = 0
        self.identity: dict[str, object] | None = None
        self.is_plain = True
        self.num_events = 0

    @property
    def text(self) -> str:
        """The text so far. Cost: linear in it."""
        return "".join(self._pieces)

    def note(self, data: bytes) -> None:
        """Take the data of a chunk with choices. Cost: linear in `data`."""
        if not self.is_plain:
            return
        chunk = orjson.loads(data)
        if self.identity is None:
            self.identity = {name: chunk[name] for name in _IDENTITY if chunk.get(name) is not None}
        text = _plain_text(chunk["choices"])
        if text is None or self._size_bytes + len(text.encode()) > MAX_TEXT_BYTES:
            self.is_plain = False
            self._pieces.clear()
        elif text:
            self._pieces.append(text)
            self._size_bytes += len(text.encode())
            self.num_events += 1


def _plain_text(choices: list[dict[str, Any]]) -> str | None:
    """Return what a chunk adds to the text of the one choice; None where it tells anything else."""
    choice, delta = choices[0], choices[0].get("delta") or {}
    is_alone = len(choices) == 1 and not choice.get("index")
    # Members that nobody knows yet would be missing from a prefill, too.
    has_more = any(value for name, value in delta.items() if name not in ("role", "content"))
    text = delta.get("content") or ""
    if not is_alone or has_more or choice.get("text") or choice.get("logprobs") or not isinstance(text, str):
        return None
    return text
