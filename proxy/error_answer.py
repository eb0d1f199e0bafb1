"""An error as the client sees it."""

from __future__ import annotations

import orjson

from .errors import GatewayError
from .exchange.fields import Fields
from .exchange.message import Response


def error_response(error: GatewayError, request_id: str, path: str) -> Response:
    """Return the answer for an error: OpenAI's shape under /v1, problem details elsewhere (RFC 9457)."""
    if path == "/v1" or path.startswith("/v1/"):
        body, media_type = openai_error(error, request_id), "application/json"
    else:
        problem = {
            "type": f"urn:headgate:error:{error.kind.name}",
            "title": error.kind.message,
            "status": error.kind.status,
            "detail": _shown(error.public),
            "request_id": request_id,
        }
        body, media_type = orjson.dumps(problem), "application/problem+json"
    fields = Fields([(b"Content-Type", media_type.encode()), *error.fields])
    return Response(error.kind.status, fields, body, len(body))


def openai_error(error: GatewayError, request_id: str) -> bytes:
    """Return OpenAI's error object as JSON."""
    kind = error.kind
    return orjson.dumps(
        {
            "error": {
                "message": _shown(error.public),
                "type": kind.error_type,
                "param": None,
                "code": kind.code,
                "request_id": request_id,
            }
        }
    )


def error_event(error: GatewayError, request_id: str) -> bytes:
    """Return the in-band event that ends a stream which cannot go on."""
    return b"data: " + openai_error(error, request_id) + b"\n\n"


def _shown(text: str) -> str:
    # A plugin's words may repeat what a client said: half a surrogate pair is no text.
    return text.encode("utf-8", "replace").decode()
