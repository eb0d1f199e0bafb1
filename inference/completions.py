"""The two generating endpoints: chat completions and text completions.

A request's way: admitted, body read and checked, prompt made into ids, queued, then its steps written as they come.
The head of a stream waits for the first token, so whatever fails before has a status of its own.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import orjson
from aiohttp import web

from .answers import DONE, Answer, Usage, event
from .generate import GenerationRequest, Step
from .openai_api import ApiError, Ask, parse_chat, parse_completion
from .sampler import Sampling
from .service import Outcome, Service
from .tokenizer import TemplateError
from .worker import GenerationFailed, Job

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 30.0
WRITE_TIMEOUT_S = 30.0
DEADLINE_FIELD = "x-headgate-deadline-ms"
# Within what JSON readers hold exactly.
SEED_BITS = 53

OUTCOME: web.RequestKey[Outcome] = web.RequestKey("outcome", Outcome)

_SSE_FIELDS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Completions:
    """Handlers over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/chat/completions."""
        return await self._serve(request, parse_chat)

    async def text(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/completions."""
        return await self._serve(request, parse_completion)

    async def _serve(self, request: web.Request, parse: Callable[[bytes], Ask]) -> web.StreamResponse:
        with self._service.admission.enter():
            deadline = _deadline(request)
            ask = parse(await _read_body(request))
            if ask.model != self._service.name:
                raise unknown_model(ask.model)
            generation = await self._prepare(ask)
            exchange = _Exchange(self._service, request, ask, generation, deadline)
            try:
                return await exchange.run()
            finally:
                exchange.close()

    async def _prepare(self, ask: Ask) -> GenerationRequest:
        """Make the prompt's ids, beside the event loop: long prompts take long.

        Raises: ApiError.
        """
        ids = tuple(await asyncio.to_thread(self._encode, ask))
        config = self._service.config
        param = "messages" if ask.messages is not None else "prompt"
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
        seed = secrets.randbits(SEED_BITS) if ask.seed is None else ask.seed
        sampling = Sampling(ask.temperature, ask.top_p, seed)
        return GenerationRequest(ids, ask.max_tokens or room, sampling, ask.stops)

    def _encode(self, ask: Ask) -> list[int] | tuple[int, ...]:
        tokenizer = self._service.tokenizer
        if ask.messages is None:
            prompt = ask.prompt or ""
            return tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        try:
            return tokenizer.encode_chat(ask.messages)
        except TemplateError as error:
            raise ApiError(str(error), code="invalid_value", param="messages") from None


class _Exchange:
    """One admitted generation and the answer made of its steps."""

    def __init__(
        self,
        service: Service,
        request: web.Request,
        ask: Ask,
        generation: GenerationRequest,
        deadline: float | None,
    ) -> None:
        self._service, self._request, self._ask, self._deadline = service, request, ask, deadline
        self._loop = asyncio.get_running_loop()
        self._outcome = request[OUTCOME]
        self._outcome.prompt_tokens = len(generation.prompt_ids)
        self._answer = Answer(
            completion_id=("chatcmpl-" if ask.messages is not None else "cmpl-") + secrets.token_hex(12),
            created=int(datetime.now(UTC).timestamp()),
            model=service.name,
            fingerprint=service.fingerprint,
            seed=generation.sampling.seed,
            is_chat=ask.messages is not None,
            has_stream_usage=ask.has_stream_usage,
        )
        self._first_token_at: float | None = None
        self._job: Job = service.worker.submit(generation)
        service.metrics.prompt_tokens += len(generation.prompt_ids)

    async def run(self) -> web.StreamResponse:
        """Write the answer, whole or as a stream.

        Raises: ApiError, before anything was written.
        """
        if not self._ask.is_stream:
            return await self._write_whole()
        try:
            first = await self._next_step()
        except (TimeoutError, GenerationFailed) as error:
            raise _as_api_error(error) from None
        response = web.StreamResponse(headers=_SSE_FIELDS)
        await response.prepare(self._request)
        try:
            await self._write_stream(response, first)
        except (TimeoutError, GenerationFailed) as error:
            await self._break_off(response, error)
        return response

    def close(self) -> None:
        """Give the job up, whatever became of it."""
        self._service.worker.cancel(self._job)
        if self._first_token_at is not None:
            self._service.admission.observe(self._loop.time() - self._first_token_at)

    async def _write_whole(self) -> web.Response:
        texts = []
        try:
            while (step := await self._next_step()).finish_reason is None:
                texts.append(step.text)
        except (TimeoutError, GenerationFailed) as error:
            raise _as_api_error(error) from None
        texts.append(step.text)
        return json_response(self._answer.whole("".join(texts), step.finish_reason, self._usage()))

    async def _write_stream(self, response: web.StreamResponse, step: Step) -> None:
        await self._write(response, event(self._answer.first_chunk()))
        while True:
            if step.text:
                await self._write(response, event(self._answer.text_chunk(step.text)))
            if step.finish_reason is not None:
                break
            step = await self._next_step()
        await self._write(response, event(self._answer.last_chunk(step.finish_reason)))
        if self._ask.has_stream_usage:
            await self._write(response, event(self._answer.usage_chunk(self._usage())))
        await self._write(response, DONE)

    async def _next_step(self) -> Step:
        step = await self._job.next_step(self._deadline)
        self._outcome.completion_tokens += 1
        if step.finish_reason is not None:
            self._outcome.finish_reason = step.finish_reason
        if self._first_token_at is None:
            self._first_token_at = self._loop.time()
            self._outcome.first_token_s = self._first_token_at - self._outcome.started_at
        return step

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await response.write(data)
        except TimeoutError:
            # The client reads nothing any more; its place belongs to the next one.
            self._abort_transport()
            raise ConnectionResetError("the client stopped reading") from None

    async def _break_off(self, response: web.StreamResponse, error: Exception) -> None:
        """Tell the failure as one event and close without the last chunk: the answer must not look complete."""
        self._outcome.finish_reason = "error"
        await self._write(response, event(_as_api_error(error).body()))
        if self._request.transport is not None:
            self._request.transport.close()

    def _abort_transport(self) -> None:
        if isinstance(self._request.transport, asyncio.WriteTransport):
            self._request.transport.abort()

    def _usage(self) -> Usage:
        return Usage(self._outcome.prompt_tokens, self._outcome.completion_tokens)


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Make a response of one JSON value."""
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")


def unknown_model(name: str) -> ApiError:
    """Make the error for a model that is not served here."""
    return ApiError(f"the model `{name}` does not exist here", status=404, code="model_not_found", param="model")


async def _read_body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except TimeoutError:
        raise ApiError(
            f"expected the whole body within {BODY_TIMEOUT_S:g} s", status=408, code="body_timeout", Connection="close"
        ) from None


def _deadline(request: web.Request) -> float | None:
    """Give the instant, on the event loop's clock, after which nobody wants the answer."""
    value = request.headers.get(DEADLINE_FIELD)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 12):
        raise ApiError(f"{DEADLINE_FIELD}: expected whole milliseconds", code="invalid_value", param=DEADLINE_FIELD)
    return asyncio.get_running_loop().time() + int(value) / 1000


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, TimeoutError):
        return ApiError("the deadline passed before the answer was complete", status=504, code="deadline_exceeded")
    return ApiError(str(error), status=500, code="generation_failed")
