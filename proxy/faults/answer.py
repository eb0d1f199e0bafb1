"""An answer before it is framed: status, fields, and its body in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

from ...ext.http1 import Pair

Part = Literal["lead", "token", "tail"]

JSON = (b"Content-Type", b"application/json")
EVENTS = (b"Content-Type", b"text/event-stream; charset=utf-8")


class Piece(NamedTuple):
    """Bytes of a body that belong together. `part`: what stands before the text's end, a token, what follows."""

    data: bytes
    part: Part


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. `pieces` gives the body's pieces from the first on, each time it is called; a stream's are frames."""

    status: int
    fields: tuple[Pair, ...]
    pieces: Callable[[], Iterator[Piece]]
    is_stream: bool = False


def json_answer(value: object, status: int = 200, *fields: Pair) -> Answer:
    """Return an answer whose body is `value` as JSON."""
    body = orjson.dumps(value)
    return Answer(status, (JSON, *fields), lambda: iter((Piece(body, "tail"),)))


def error_value(message: str, error_type: str, code: str | None = None, param: str | None = None) -> object:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": error_type, "param": param, "code": code}}


def up_to(answer: Answer, num_tokens: int) -> Iterator[Piece]:
    """Yield the pieces up to and with so many tokens, or all tokens where there are fewer."""
    num_left = num_tokens
    for piece in answer.pieces():
        if piece.part == "tail" or (piece.part == "token" and not num_left):
            return
        num_left -= piece.part == "token"
        yield piece


def split(answer: Answer, num_tokens: int) -> tuple[Iterator[Piece], Iterator[Piece]]:
    """Return the pieces up to so many tokens, and those after them."""
    num_before = sum(1 for _ in up_to(answer, num_tokens))

    def after() -> Iterator[Piece]:
        pieces = answer.pieces()
        for _ in range(num_before):
            next(pieces)
        yield from pieces

    return up_to(answer, num_tokens), after()
