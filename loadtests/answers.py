"""What came back, and whether it is what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .records import BROKEN, LIMITED, OK, REFUSED, UNANSWERED
from .tier import TOKENS

TEXT = " ".join(map(str, range(TOKENS)))
_LIMITED = 429


@dataclass(slots=True)
class Answer:
    """One answer; `status` 0 where there was none. `is_whole` where every byte is the right one."""

    is_sent: bool = False
    status: int = 0
    target: str = ""
    first_at_s: float = 0.0
    body_bytes: int = 0
    is_whole: bool = False
    detail: str = ""

    @property
    def is_worth_a_retry(self) -> bool:
        """Whether a client without patience asks once more: no answer, or an error of the service."""
        return self.status == 0 or self.status >= 500


def outcome(answer: Answer) -> str:
    """Say what became of a request."""
    if answer.status == 0:
        return UNANSWERED
    if answer.status == 200:
        return OK if answer.is_whole else BROKEN
    if answer.status == _LIMITED and answer.is_whole:
        return LIMITED
    return REFUSED if answer.is_whole else BROKEN


def is_whole_completion(body: bytes) -> bool:
    """Whether this is the completion that a tier gives, to its end."""
    choice = _first_choice(body)
    return choice.get("finish_reason") == "stop" and choice.get("message", {}).get("content") == TEXT


def is_whole_stream(body: bytes) -> bool:
    """Whether these are the events that a tier gives: all, in order, once, with their end."""
    events = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    if len(events) != TOKENS + 2 or events[-1] != b"[DONE]":
        return False
    choices = [_first_choice(event) for event in events[:-1]]
    text = "".join(choice.get("delta", {}).get("content", "") for choice in choices)
    return text.strip() == TEXT and choices[-1].get("finish_reason") == "stop"


def error_code(body: bytes) -> str:
    """Return the code of an error as clients are promised it, "" for anything else."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(found, Mapping):
        return ""
    error = found.get("error")
    code = error.get("code") if isinstance(error, Mapping) else found.get("type")
    return code.rpartition(":")[2] if isinstance(code, str) else ""


def error_event(body: bytes) -> str:
    """Return the code of the error event that ended a stream, "" where there is none."""
    last = body.rstrip().rpartition(b"\n")[2]
    return error_code(last[6:]) if last.startswith(b"data: ") else ""


def _first_choice(body: bytes) -> Mapping[str, Any]:
    try:
        choice: Mapping[str, Any] = orjson.loads(body)["choices"][0]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        return {}
    return choice
