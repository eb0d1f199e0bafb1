"""How an exchange ended: what decides which series grow, and the numbers by which they do."""

from __future__ import annotations

from typing import NamedTuple

from ..exchange.exchange import Exchange
from ..verdicts import Outcome

# Places in what `numbers_of` returns.
DURATION_S, FIRST_BYTE_S, RECEIVED_BYTES, SENT_BYTES, PROMPT_TOKENS, COMPLETION_TOKENS = range(6)

_OPERATIONS = {
    "/chat/completions": "chat",
    "/completions": "text_completion",
    "/responses": "chat",
    "/embeddings": "embeddings",
}
_USUAL = {f"/v1{ending}": name for ending, name in _OPERATIONS.items()}


class Ending(NamedTuple):
    """What exchanges have in common that are counted alike: few of all there could be come up.

    `operation` is that of an inference exchange, `ends` how each attempt ended, as (target, outcome), and `way` who
    served it.
    """

    route: str
    operation: str | None
    status: int
    error: str | None
    target: str | None
    ends: tuple[tuple[str, str], ...]
    cache: str | None
    is_client_gone: bool
    is_streamed: bool
    has_first_byte: bool
    has_prompt_tokens: bool
    has_completion_tokens: bool
    way: str


def facts_of(exchange: Exchange, outcome: Outcome, way: str) -> tuple[object, ...]:
    """Return the fields of an exchange's `Ending`, of which it is one to look up."""
    route = exchange.route
    return (
        route.name,
        operation_of(exchange.request.path) if route.is_inference else None,
        outcome.status,
        outcome.error,
        outcome.target,
        outcome.ends,
        outcome.cache,
        outcome.is_client_gone,
        outcome.is_streamed,
        outcome.first_byte_s is not None,
        outcome.prompt_tokens is not None,
        outcome.completion_tokens is not None,
        way,
    )


def numbers_of(outcome: Outcome) -> tuple[float | None, ...]:
    """Return the numbers of an exchange, each at its place."""
    return (
        outcome.duration_s,
        outcome.first_byte_s,
        outcome.received_bytes,
        outcome.sent_bytes,
        outcome.prompt_tokens,
        outcome.completion_tokens,
    )


def operation_of(path: str) -> str | None:
    """Return which operation of a model a path asks for."""
    usual = _USUAL.get(path)
    if usual is not None:
        return usual
    return next((name for ending, name in _OPERATIONS.items() if path.endswith(ending)), None)
