"""Answers given from the cache, and the Cache-Status field (RFC 9211)."""

from __future__ import annotations

import re
from functools import lru_cache

from ...proxy.error_answer import error_response
from ...proxy.errors import GatewayError, Kind, Source
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response
from ...proxy.verdicts import Hit
from .asked import Asked
from .entry import Entry, Pair
from .http_date import parse_http_date

_CACHE_STATUS = b"Cache-Status"
_REMEMBERED = 4096  # fields that tell an age or what is left: answers of one second have the same
# Not in the core's table: no exchange fails by it, it is an answer of the cache.
_NOT_CACHED = Kind(
    "not_cached", Source.DOWNSTREAM, 504, "no stored answer may be used for this request", "invalid_request_error"
)
_ETAG = re.compile(r'(?:W/)?("[^"]*+")')
# RFC 9110 §15.4.5: what describes the representation goes with it; these few guide the client's own cache.
_KEPT_IN_304 = frozenset((b"content-location",))


def from_entry(entry: Entry, asked: Asked, method: str, age_s: float, cache_status: Pair) -> Response:
    """Return the answer to a request that `entry` may answer: whole, without body for HEAD, or 304."""
    body, age = entry.body, _age(int(age_s))
    if asked.is_conditional and entry.status == 200 and _is_unmodified(entry, asked):
        return Response(304, Fields((*_without_representation(entry), age, cache_status)), b"", len(body))
    fields = Fields((*entry.fields, age, cache_status))
    return Response(entry.status, fields, b"" if method == "HEAD" else body, len(body))


def not_stored(exchange: Exchange) -> Response:
    """Return the answer to `only-if-cached` where nothing stored can be used. Source: RFC 9111 §5.2.1.7."""
    error = GatewayError("internal", public=_NOT_CACHED.message)
    error.kind = _NOT_CACHED
    response = error_response(error, exchange.request_id, exchange.request.path)
    response.fields.raw.append((_CACHE_STATUS, b"headgate; detail=only-if-cached"))
    if exchange.request.method == "HEAD":
        response.body = b""
    return response


@lru_cache(maxsize=_REMEMBERED)
def hit(ttl_s: int) -> Pair:
    """Return the field that says that the answer was stored, and for how long it is still fresh."""
    return _CACHE_STATUS, b"headgate; hit; ttl=%d" % ttl_s


def from_second(found: Hit) -> Hit:
    """Say of a hit that the second level had it."""
    name, value = found.response.fields.raw[-1]  # where `from_entry` put it
    found.response.fields.raw[-1] = (name, value + b"; detail=second")
    return found


def forwarded(why: str, parameters: str) -> Pair:
    """Return the field that says why the request went on, and what became of the answer."""
    return _CACHE_STATUS, f"headgate; fwd={why}{parameters}".encode()


@lru_cache(maxsize=_REMEMBERED)
def _age(seconds: int) -> Pair:
    return b"Age", b"%d" % seconds


def _is_unmodified(entry: Entry, asked: Asked) -> bool:
    """Evaluate the conditions of a request. Source: RFC 9110 §13.2.2, RFC 9111 §4.3.2."""
    if asked.if_none_match:
        return _matches(asked.if_none_match, entry.value(b"etag"))
    since = asked.if_modified_since
    known = entry.value(b"last-modified") or entry.value(b"date")
    if since is None or known is None:
        return False
    made_at = parse_http_date(entry.value(b"date") or "", 0.0) or 0  # places a year of two digits
    since_s, known_s = parse_http_date(since, made_at), parse_http_date(known, made_at)
    return since_s is not None and known_s is not None and known_s <= since_s


def _matches(lines: tuple[str, ...], etag: str | None) -> bool:
    """Compare weakly. Source: RFC 9110 §8.8.3.2, §13.1.2."""
    if [line.strip(" \t") for line in lines] == ["*"]:
        return True
    own = _ETAG.fullmatch(etag) if etag is not None else None
    return own is not None and any(found[1] == own[1] for line in lines for found in _ETAG.finditer(line))


def _without_representation(entry: Entry) -> list[tuple[bytes, bytes]]:
    has_etag = entry.value(b"etag") is not None
    return [
        (name, value)
        for name, value in entry.fields
        if (lower := name.lower()) in _KEPT_IN_304
        or not (lower.startswith(b"content-") or (has_etag and lower == b"last-modified"))
    ]
