"""Max-Forwards: how far OPTIONS and TRACE may go (RFC 9110 §7.6.2)."""

from __future__ import annotations

from .errors import GatewayError
from .exchange.fields import Fields
from .exchange.message import Request, Response

_FIELD = "max-forwards"


def answer_as_last_hop(request: Request) -> Response | None:
    """Return our own answer where the request may go no further; else count the hop in its field.

    Raises: GatewayError for a TRACE that ends here: echoing a request, its credentials included, is not offered.
    """
    if request.method not in ("OPTIONS", "TRACE") or _FIELD not in request.fields:
        return None
    left = request.fields[_FIELD]
    if not (left.isascii() and left.isdigit() and len(left) <= 9):
        return None
    if int(left) > 0:
        request.fields.set(_FIELD, str(int(left) - 1))
        return None
    if request.method == "TRACE":
        raise GatewayError("method_not_allowed", "TRACE ends here", fields=((b"Allow", b"OPTIONS"),))
    return Response(200, Fields([(b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]), b"", 0)
