"""Where the continuation of an answer is joined to what the client has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ...ext.sse import Event
from ..errors import GatewayError

Json = dict[str, Any]


class Seam:
    """Makes the chunks of a continuation those of the answer that it continues. Pure.

    One answer has one id and one beginning: `identity` replaces the continuation's own, no chunk names the role again,
    and what comes before the first chunk (pings) is left out. `echo` is what the target says once more before it goes
    on: that is taken off, and has to be there before it says anything else.
    """

    __slots__ = ("_echo", "_has_begun", "_identity")

    def __init__(self, identity: Mapping[str, object], echo: str = "") -> None:
        self._identity = identity
        self._echo = echo
        self._has_begun = False

    def take(self, events: Sequence[Event]) -> list[Event]:
        """Return the events as they are to be passed on. Cost: a parse of each.

        Raises: GatewayError `malformed_answer`, where the target does not say once more what it should.
        """
        return [joined for event in events if (joined := self._joined(event)) is not None]

    def _joined(self, event: Event) -> Event | None:
        if event.is_overflow:
            return event
        if event.data is None:
            return event if self._has_begun else None
        chunk = _chunk_in(event)
        if chunk is None:
            return event  # an error, `[DONE]`, or nothing that could be read: others judge that
        if not self._rewrite(chunk):
            return None
        self._has_begun = True
        data = orjson.dumps(chunk)
        name = b"event: %b\n" % event.name if event.name else b""
        return Event(b"%bdata: %b\n\n" % (name, data), data, event.name)

    def _rewrite(self, chunk: Json) -> bool:
        """Rewrite a chunk in place; return whether it still says anything."""
        chunk.update(self._identity)
        choices = chunk.get("choices")
        choice = _only(choices)
        delta = choice.get("delta") if choice is not None else None
        if choice is None or not isinstance(delta, dict):
            if choices and self._is_echo_due:
                raise _not_continued()
            return choices != [] or not self._is_echo_due
        has_role = delta.pop("role", None) is not None
        has_echo = bool(self._echo) and self._take_echo(delta)
        if self._is_echo_due and (choice.get("finish_reason") or any(delta.values())):
            raise _not_continued()
        is_emptied = (has_role or has_echo) and not any(delta.values())
        return not is_emptied or bool(choice.get("finish_reason") or choice.get("logprobs"))

    @property
    def _is_echo_due(self) -> bool:
        """Whether more of the echo has to come than white space, which services may leave out."""
        return bool(self._echo.strip())

    def _take_echo(self, delta: Json) -> bool:
        """Take off what the client has already, in whatever pieces it comes; return whether there was any."""
        text, echo = delta.get("content"), self._echo
        if not isinstance(text, str) or not text:
            return False
        if not text.startswith(echo[: len(text)]):
            raise _not_continued()
        delta["content"], self._echo = text[len(echo) :], echo[len(text) :]
        return True


def _chunk_in(event: Event) -> Json | None:
    """Return the chunk in an event; None where it is none."""
    if event.name == b"error":
        return None
    try:
        value = orjson.loads(event.data or b"")
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and value.get("error") is None else None


def _only(choices: object) -> Json | None:
    if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
        return choices[0]
    return None


def _not_continued() -> GatewayError:
    return GatewayError("malformed_answer", "expected the answer so far once more, and what follows it")
