"""The two generating endpoints: chat completions and text completions.

A request's way: admitted, body read and checked, prompt made into ids, queued, then its steps written as they come.
The head of a stream waits for the first event that is new to the client, so whatever fails before, in the replay of a
resumed stream too, has a status of its own.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime

import orjson
from aiohttp import web

from .answers import DONE, Usage, event
from .cursor import NAME_BYTES, Origin
from .events import EventStream
from .generate import ReplayDiverged, Step
from .openai_api import ApiError, Ask, parse_chat, parse_completion
from .plan import Plan, make_plan
from .service import Outcome, Service
from .worker import GenerationFailed, Job

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 30.0
WRITE_TIMEOUT_S = 30.0
DEADLINE_FIELD = "x-headgate-deadline-ms"
NUMERICS_FIELD = "x-headgate-numerics"
# Within what JSON readers hold exactly.
SEED_BITS = 53

OUTCOME: web.RequestKey[Outcome] = web.RequestKey("outcome", Outcome)

_SSE_FIELDS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_NUMERICS_MISMATCH = "numerics_mismatch"
_FAILURES = (TimeoutError, GenerationFailed, ReplayDiverged)


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
            self._check_numerics(request)
            # Beside the event loop: long prompts take long.
            plan = await asyncio.to_thread(make_plan, self._service, ask, _draw_origin(ask.seed))
            exchange = _Exchange(self._service, request, plan, deadline)
            try:
                return await exchange.run()
            finally:
                exchange.close()

    def _check_numerics(self, request: web.Request) -> None:
        """Refuse a request that wants the bits of another server."""
        wanted, own = request.headers.get(NUMERICS_FIELD), self._service.numerics
        if wanted not in (None, own):
            raise ApiError(
                f"expected numerics {wanted}, but those of this server are {own}; ask a server that has them",
                status=412,
                code=_NUMERICS_MISMATCH,
                param=NUMERICS_FIELD,
                x_headgate_numerics=own,
            )


class _Exchange:
    """One admitted generation and the answer made of its steps."""

    def __init__(self, service: Service, request: web.Request, plan: Plan, deadline: float | None) -> None:
        self._service, self._request, self._plan, self._deadline = service, request, plan, deadline
        self._loop = asyncio.get_running_loop()
        self._outcome = request[OUTCOME]
        self._outcome.prompt_tokens = len(plan.generation.prompt_ids)
        self._first_token_at: float | None = None
        self._job: Job = service.worker.submit(plan.generation)
        service.metrics.prompt_tokens += self._outcome.prompt_tokens
        service.metrics.resumed += bool(plan.delivered)

    async def run(self) -> web.StreamResponse:
        """Write the answer, whole or as a stream.

        Raises: ApiError, before anything was written.
        """
        if not self._plan.is_stream:
            return await self._write_whole()
        async with aclosing(self._new_events()) as events:
            try:
                first = await anext(events)
            except _FAILURES as error:
                raise _as_api_error(error) from None
            response = web.StreamResponse(headers={**_SSE_FIELDS, NUMERICS_FIELD: self._service.numerics})
            await response.prepare(self._request)
            try:
                await self._write(response, first)
                async for data in events:
                    await self._write(response, data)
            except _FAILURES as error:
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
        except _FAILURES as error:
            raise _as_api_error(error) from None
        texts.append(step.text)
        return json_response(self._plan.answer.whole("".join(texts), step.finish_reason, self._usage()))

    async def _new_events(self) -> AsyncGenerator[bytes, None]:
        """Yield the events that the client lacks, as they are made.

        Raises: GenerationFailed, ReplayDiverged, TimeoutError.
        """
        plan = self._plan
        stream = EventStream(plan.answer, plan.writer, self._outcome.prompt_tokens, plan.delivered)
        is_over = False
        while not is_over:
            step = await self._next_step()
            is_over = step.finish_reason is not None
            for data in stream.push(step):
                yield data
        yield DONE

    async def _next_step(self) -> Step:
        step = await self._job.next_step(self._deadline)
        self._outcome.completion_tokens += 1
        self._outcome.replayed_tokens += self._outcome.completion_tokens <= len(self._plan.generation.replay)
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


def _draw_origin(seed: int | None) -> Origin:
    """Draw what makes an answer one of its own; `seed` is that of the request, if it has one."""
    drawn = secrets.randbits(SEED_BITS) if seed is None else seed
    return Origin(drawn, int(datetime.now(UTC).timestamp()), secrets.token_bytes(NAME_BYTES))


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, TimeoutError):
        return ApiError("the deadline passed before the answer was complete", status=504, code="deadline_exceeded")
    if isinstance(error, ReplayDiverged):
        return ApiError(f"the stream cannot go on here: {error}", status=412, code=_NUMERICS_MISMATCH)
    return ApiError(str(error), status=500, code="generation_failed")
