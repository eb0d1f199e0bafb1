"""What one request will generate: the prompt as ids, the sampling, and what a resumed stream has behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .answers import Answer
from .cursor import CursorWriter, Origin
from .generate import GenerationRequest
from .openai_api import ApiError, Ask
from .resume import Delivered, invalid_cursor, read_delivered, request_digest
from .sampler import Sampling
from .service import Service
from .tokenizer import TemplateError


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked request, ready to run. `delivered` are the cursors of the events that the client has."""

    generation: GenerationRequest
    answer: Answer
    is_stream: bool
    writer: CursorWriter
    delivered: tuple[str, ...]


def make_plan(service: Service, ask: Ask, fresh: Origin) -> Plan:
    """Make a plan; `fresh` is the origin of an answer that resumes nothing.

    Raises: ApiError.
    Cost: O(prompt + delivered tokens): to be called beside the event loop.
    """
    delivered = _delivered(service, ask)
    origin = fresh if delivered is None else delivered.origin
    ids, room = _prompt_ids(service, ask, origin.created)
    generation = GenerationRequest(
        ids,
        ask.max_tokens or room,
        Sampling(ask.temperature, ask.top_p, origin.seed),
        ask.stops,
        () if delivered is None else delivered.ids,
    )
    writer = CursorWriter(request_digest(service.numerics, ask, generation), origin)
    if delivered is not None:
        delivered.check(writer)
    return Plan(generation, _answer(service, ask, origin), ask.is_stream, writer, ask.resume)


def _answer(service: Service, ask: Ask, origin: Origin) -> Answer:
    is_chat = ask.messages is not None
    return Answer(
        completion_id=("chatcmpl-" if is_chat else "cmpl-") + origin.name.hex(),
        created=origin.created,
        model=service.name,
        fingerprint=service.fingerprint,
        seed=origin.seed,
        is_chat=is_chat,
        has_stream_usage=ask.has_stream_usage,
    )


def _delivered(service: Service, ask: Ask) -> Delivered | None:
    """Read the cursors of a request that resumes; None where it does not."""
    if not ask.resume:
        return None
    context_tokens = service.config.max_position_embeddings
    delivered = read_delivered(ask.resume, min(ask.max_tokens or context_tokens, context_tokens))
    if ask.seed not in (None, delivered.origin.seed):
        raise invalid_cursor(0, f"the stream was drawn with seed {delivered.origin.seed}, but seed says {ask.seed}")
    return delivered


def _prompt_ids(service: Service, ask: Ask, created: int) -> tuple[tuple[int, ...], int]:
    """Make the prompt's ids; beside them, how many tokens fit after them."""
    config = service.config
    param = "messages" if ask.messages is not None else "prompt"
    ids = tuple(_encode(service, ask, created))
    if not ids:
        raise ApiError(f"{param}: expected at least one token, got none", code="invalid_value", param=param)
    if not all(0 <= token < config.vocab_size for token in ids):
        raise ApiError(
            f"{param}: expected token ids from 0 to {config.vocab_size - 1}", code="invalid_value", param=param
        )
    room = config.max_position_embeddings - len(ids)
    if room < (ask.max_tokens or 1):
        raise ApiError(
            f"this model's context is {config.max_position_embeddings} tokens, but {len(ids)} in the {param}"
            f" and {ask.max_tokens or 1} to generate were asked for; shorten one of them",
            code="context_length_exceeded",
            param=param,
        )
    return ids, room


def _encode(service: Service, ask: Ask, created: int) -> list[int] | tuple[int, ...]:
    if ask.messages is None:
        prompt = ask.prompt or ""
        return service.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    try:
        # A template may tell the date: a resumed answer is still of the day on which it began.
        return service.tokenizer.encode_chat(ask.messages, datetime.fromtimestamp(created))
    except TemplateError as error:
        raise ApiError(str(error), code="invalid_value", param="messages") from None
