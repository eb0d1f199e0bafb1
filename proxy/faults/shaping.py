"""Which answer a completion request gets: the faults of what is said. How it is sent is decided in `steps`."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from .answer import EVENTS, JSON, Answer, Piece, error_value, json_answer, split, up_to
from .asked import Asked, AskedError
from .completion import Completion
from .settings import Settings
from .spec import Spec
from .words import continued, tokens_of

_INVALID = "invalid_request_error"
_STATUS_KINDS = {"429": 429, "500": 500, "503": 503}
_ERROR_TYPES = {429: "rate_limit_error", 503: "overloaded_error"}
_FAILED = orjson.dumps(error_value("the fault upstream was told to fail here", "server_error", "fault"))
_NO_EVENTS = (b"Cache-Control", b"no-cache")


def completion_answer(asked: Asked, settings: Settings, spec: Spec | None, number: int) -> Answer:
    """Return the answer to the request of this number, with what `spec` does to it."""
    if spec is not None and (refused := refusal(spec, asked)) is not None:
        return refused
    completion = _completion(asked, settings, spec, number)
    if not asked.is_stream:
        return _whole(completion, spec)
    answer = Answer(200, (EVENTS, _NO_EVENTS), completion.stream, is_stream=True)
    if spec is not None and spec.kind == "bad_json":
        return Answer(200, answer.fields, lambda: _with_bad_json(answer, spec.count), is_stream=True)
    if spec is not None and spec.kind == "error_event":
        return Answer(200, answer.fields, lambda: _ending_in_error(answer, spec.count), is_stream=True)
    return answer


def refusal(spec: Spec, asked: Asked | None) -> Answer | None:
    """Return the refusal that `spec` stands for, if it is one. `asked`: None for a request that is no completion."""
    if spec.kind in _STATUS_KINDS or spec.kind == "status":
        return _status(spec)
    if spec.kind == "context_length":
        message = "the fault upstream was told that this exceeds its context length"
        return json_answer(error_value(message, _INVALID, "context_length_exceeded", "messages"), 400)
    if spec.kind == "content_filter":
        message = "the fault upstream was told that its content filter takes no such prompt"
        return json_answer(error_value(message, _INVALID, "content_filter", "prompt"), 400)
    if spec.kind == "no_prefill" and asked is not None and asked.prefill is not None:
        message = "the fault upstream was told to take no last message of the assistant"
        return json_answer(error_value(message, _INVALID, None, "messages"), 400)
    return None


def asked_error_answer(error: AskedError) -> Answer:
    """Return the answer to a body that asks for nothing."""
    return json_answer(error_value(str(error), _INVALID, None, error.param), 400)


def _status(spec: Spec) -> Answer:
    status = _STATUS_KINDS.get(spec.kind) or spec.count
    retry_after = spec.key("retry_after")
    fields = () if retry_after is None else ((b"Retry-After", str(retry_after).encode()),)
    if status in (204, 304):  # these have no body
        return Answer(status, fields, lambda: iter(()))
    error_type = _ERROR_TYPES.get(status) or ("server_error" if status >= 500 else _INVALID)
    value = error_value(f"the fault upstream was told to answer {status}", error_type, "fault")
    return json_answer(value, status, *fields)


def _completion(asked: Asked, settings: Settings, spec: Spec | None, number: int) -> Completion:
    kind = "" if spec is None else spec.kind
    tokens = tokens_of(continued(settings.text, asked.prefill))
    finish_reason: str | None = "stop"
    if asked.max_tokens is not None and asked.max_tokens < len(tokens):
        tokens, finish_reason = tokens[: asked.max_tokens], "length"
    counts = (len(tokens),) * asked.num_choices
    if spec is not None and kind in ("clean_end", "filter_finish"):
        finish_reason = "content_filter" if kind == "filter_finish" else None
        counts = _shares(min(spec.count, sum(counts)), asked.num_choices)
    return Completion(
        id=f"{'chatcmpl' if asked.is_chat else 'cmpl'}-{number:09d}",  # as long for every number
        model=settings.name,
        asked=asked,
        tokens=tokens,
        counts=counts,
        finish_reason=finish_reason,
        has_usage=asked.has_usage and kind != "no_usage",
        has_done=kind != "no_done",
    )


def _shares(num_tokens: int, num_choices: int) -> tuple[int, ...]:
    """Deal tokens out to the choices in turn, as a stream sends them."""
    return tuple(num_tokens // num_choices + (index < num_tokens % num_choices) for index in range(num_choices))


def _whole(completion: Completion, spec: Spec | None) -> Answer:
    kind = "" if spec is None else spec.kind
    if kind == "error_event":
        return Answer(500, (JSON,), lambda: iter((Piece(_FAILED, "tail"),)))
    if kind == "bad_json":
        return Answer(200, (JSON,), lambda: _without_end(completion.whole()))
    return Answer(200, (JSON,), completion.whole)


def _with_bad_json(answer: Answer, num_tokens: int) -> Iterator[Piece]:
    before, after = split(answer, num_tokens)
    yield from before
    yield Piece(b'data: {"id": "chatcmpl-bad", "object": "chat.comp\n\n', "lead")
    yield from after


def _ending_in_error(answer: Answer, num_tokens: int) -> Iterator[Piece]:
    yield from up_to(answer, num_tokens)
    yield Piece(b"data: " + _FAILED + b"\n\n", "tail")


def _without_end(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Yield the pieces without the last byte."""
    held = next(pieces)
    for piece in pieces:
        yield held
        held = piece
    yield Piece(held.data[:-1], held.part)
