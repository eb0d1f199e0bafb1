"""A client that asks for a completion and waits for all of it."""

from __future__ import annotations

from typing import Any

from ..answers import Answer, error_code, is_whole_completion
from .open_user import OpenUser

PATH = "/v1/chat/completions"
PROMPT = [{"role": "user", "content": "What is a retry budget?"}]


class ChatUser(OpenUser):
    """Asks for a whole completion."""

    kind = "chat"

    def ask(self) -> Answer:
        """Send one request and look at the answer."""
        body = {"model": self.crowd.model, "messages": PROMPT}
        return completed(self.client.post(PATH, json=body, headers=self.headers))


def completed(response: Any) -> Answer:
    """Look at a whole completion."""
    body = response.content or b""
    answer = begun(response)
    answer.body_bytes = len(body)
    if answer.status == 200:
        answer.is_whole = is_whole_completion(body)
    else:
        answer.detail = error_code(body) or answer.detail
        answer.is_whole = bool(error_code(body))
    return answer


def begun(response: Any) -> Answer:
    """Look at the head of an answer, or at why there is none."""
    if not response.status_code:
        return Answer(is_sent=True, detail=type(response.error).__name__)
    return Answer(is_sent=True, status=response.status_code, target=response.headers.get("x-headgate-target", ""))
