"""The HTTP face: routes, errors in OpenAI's shape, request ids, one log line an exchange."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .admission import Refused
from .completions import MAX_BODY_BYTES, OUTCOME, Completions, json_response, unknown_model
from .metrics import CONTENT_TYPE
from .openai_api import ApiError
from .service import Outcome, Service

_REQUEST_ID = "x-request-id"
_ENDPOINTS = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
_CLIENT_LEFT = 499

_log = logging.getLogger("headgate.inference")

_ID_KEY: web.RequestKey[str] = web.RequestKey("request_id", str)


def build_app(service: Service) -> web.Application:
    """Build the application; the caller starts and stops the service's worker."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_observe(service), _translate_errors])
    app.on_response_prepare.append(_set_common_fields)
    completions, pages = Completions(service), _Pages(service)
    app.router.add_post("/v1/chat/completions", completions.chat)
    app.router.add_post("/v1/completions", completions.text)
    app.router.add_get("/v1/models", pages.models)
    app.router.add_get("/v1/models/{model:.+}", pages.model)
    app.router.add_get("/health", pages.health)
    app.router.add_get("/ready", pages.ready)
    app.router.add_get("/metrics", pages.metrics)
    return app


class _Pages:
    """Everything that does not generate."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def models(self, request: web.Request) -> web.Response:
        """List the one model."""
        return json_response({"object": "list", "data": [self._model()]})

    async def model(self, request: web.Request) -> web.Response:
        """Describe one model."""
        name = request.match_info["model"]
        if name != self._service.name:
            raise unknown_model(name)
        return json_response(self._model())

    async def health(self, request: web.Request) -> web.Response:
        """Tell whether the process works at all."""
        if not self._service.worker.is_alive:
            return json_response({"status": "the model thread ended"}, status=503)
        return json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """Tell whether requests may be sent here."""
        numerics = self._service.numerics
        if self._service.admission.is_draining:
            return json_response({"status": "draining", "numerics": numerics}, status=503)
        if not self._service.worker.is_alive:
            return await self.health(request)
        return json_response({"status": "ok", "numerics": numerics})

    async def metrics(self, request: web.Request) -> web.Response:
        """Give the counters."""
        worker = self._service.worker
        gauges = {"requests_running": int(worker.is_running), "requests_waiting": worker.waiting_count}
        text = self._service.metrics.render(worker.generated_tokens, worker.replayed_tokens, gauges)
        return web.Response(body=text.encode(), headers={"content-type": CONTENT_TYPE})

    def _model(self) -> dict[str, object]:
        service = self._service
        return {
            "id": service.name,
            "object": "model",
            "created": service.created,
            "owned_by": "headgate",
            "numerics": service.numerics,
        }


def _observe(service: Service) -> Middleware:
    """Count and log generating exchanges; others pass."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[_ID_KEY] = _request_id(request)
        endpoint = _ENDPOINTS.get(request.path)
        if endpoint is None:
            return await handler(request)
        outcome = request[OUTCOME] = Outcome(asyncio.get_running_loop().time())
        status = _CLIENT_LEFT
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            seconds = asyncio.get_running_loop().time() - outcome.started_at
            _record(service, endpoint, status, outcome, seconds)
            _log_exchange(request[_ID_KEY], endpoint, status, outcome, seconds)

    return observe


def _record(service: Service, endpoint: str, status: int, outcome: Outcome, seconds: float) -> None:
    metrics = service.metrics
    metrics.requests[endpoint, status] += 1
    metrics.aborted += status == _CLIENT_LEFT
    metrics.duration.observe(seconds)
    if outcome.first_token_s is not None:
        metrics.first_token.observe(outcome.first_token_s)


def _log_exchange(request_id: str, endpoint: str, status: int, outcome: Outcome, seconds: float) -> None:
    _log.info(
        "%s %s status=%d prompt_tokens=%d completion_tokens=%d finish=%s first_token_s=%.4f seconds=%.4f"
        " replayed_tokens=%d",
        request_id,
        endpoint,
        status,
        outcome.prompt_tokens,
        outcome.completion_tokens,
        outcome.finish_reason,
        outcome.first_token_s or 0.0,
        seconds,
        outcome.replayed_tokens,
    )


@web.middleware
async def _translate_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return _error_response(error)
    except Refused as error:
        retry = {"Retry_After": str(error.retry_after_s)}
        return _error_response(ApiError(str(error), status=503, code=error.code, **retry))
    except web.HTTPException as error:
        return _error_response(_from_http(request, error))
    except ConnectionError:
        # The client went away while it was written to: there is nobody to tell. This ends as where its leaving is
        # noticed while waiting; any other way aiohttp logs a failure.
        raise asyncio.CancelledError from None
    except Exception:
        # The last place that can still give the client an answer.
        _log.exception("%s failed", request[_ID_KEY])
        return _error_response(ApiError("the server failed on this request", status=500, code="internal_error"))


def _from_http(request: web.Request, error: web.HTTPException) -> ApiError:
    if error.status == 413:
        return ApiError(f"expected a body of at most {MAX_BODY_BYTES} bytes", status=413, code="body_too_large")
    if error.status == 405:
        allow = error.headers.get("Allow", "")
        return ApiError(f"{request.path}: expected {allow}, got {request.method}", status=405, Allow=allow)
    if error.status == 404:
        return ApiError(f"{request.path}: no such path", status=404, code="unknown_path")
    return ApiError(error.reason.lower(), status=error.status)


def _error_response(error: ApiError) -> web.Response:
    return json_response(error.body(), error.status, error.headers)


async def _set_common_fields(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["server"] = "headgate-inference"
    response.headers[_REQUEST_ID] = request[_ID_KEY]


def _request_id(request: web.Request) -> str:
    """Keep the caller's id where it is fit for a log line, else make one."""
    given = request.headers.get(_REQUEST_ID, "")
    return given if re.fullmatch(r"[\w.:-]{1,128}", given, re.ASCII) else uuid.uuid4().hex
