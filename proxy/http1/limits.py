"""Bounds of a head, and how a head is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bounds of one head.

    `max_line_bytes` bounds the first line without its CRLF, `max_head_bytes` the whole head with the empty line.
    """

    max_line_bytes: int = 8 * 1024
    max_head_bytes: int = 32 * 1024
    max_fields: int = 100


class HeadError(ValueError):
    """A head that is refused.

    `kind` is a name of the gateway's error table. `detail` is for the log; it never holds a field's value, which
    may be secret.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The kinds that one side of the gateway refuses heads with."""

    malformed: str
    line_too_long: str
    head_too_large: str


REQUEST_REFUSAL = Refusal("bad_request", "target_too_long", "head_too_large")
RESPONSE_REFUSAL = Refusal("malformed_answer", "answer_too_large", "answer_too_large")
