"""A client that reads a completion as it is made."""

from __future__ import annotations

import time

from ..answers import Answer, error_code, error_event, is_whole_stream
from .chat import PATH, PROMPT, begun
from .open_user import OpenUser

_PIECE_BYTES = 1 << 14


class StreamUser(OpenUser):
    """Asks for events, and wants them all, in order, with their end."""

    kind = "stream"

    def ask(self) -> Answer:
        """Send one request and look at the events."""
        body = {"model": self.crowd.model, "messages": PROMPT, "stream": True}
        response = self.client.post(PATH, json=body, headers=self.headers, stream=True)
        answer = begun(response)
        if not answer.status:
            return answer
        answer.first_at_s = time.monotonic()
        text = b"".join(response.iter_content(_PIECE_BYTES, decode_content=False))
        answer.body_bytes = len(text)
        if answer.status == 200:
            answer.is_whole = is_whole_stream(text)
            answer.detail = "" if answer.is_whole else error_event(text) or "cut"
        else:
            answer.detail = error_code(text)
            answer.is_whole = bool(answer.detail)
        return answer
