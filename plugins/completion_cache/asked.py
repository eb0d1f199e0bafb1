"""What a request asks for: whether its answer can be a stored one, and under which key."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from ...proxy.config.header_edits import CREDENTIALS
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Fields
from .config import CompletionCacheRouteOptions
from .entry import Form, Key

Json = dict[str, Any]
# What makes an answer depend on more than the request, or do more than answer.
_ACTING = ("tools", "functions", "web_search_options", "plugins", "background")
_STATEFUL = ("store", "previous_response_id", "conversation")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose answer may be stored. `options` is what it says of a stream's form, as JSON."""

    key: Key
    form: Form
    options: bytes


class PassedByError(Exception):
    """The request is not one for the cache; the text says why, as a token."""


def read_asked(exchange: Exchange, data: bytes, options: CompletionCacheRouteOptions, *, is_shared: bool) -> Asked:
    """Return what a request with the body `data` asks for. Raises: PassedByError. Cost: linear in the body."""
    value = _parsed(data)
    _check(value, options, exchange.request.path)
    stream_options = value.get("stream_options")
    is_stream = value.get("stream") is True
    is_usage_wanted = is_stream and isinstance(stream_options, dict) and stream_options.get("include_usage") is True
    key = _key_of(exchange, value, options, is_shared=is_shared)
    return Asked(key, Form(is_stream, is_usage_wanted), _written(stream_options))


def _parsed(data: bytes) -> Json:
    try:
        value = _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        raise PassedByError("body") from None
    if not isinstance(value, dict):
        raise PassedByError("body")
    return value


def _once(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) < len(pairs):  # the service might read another one of them
        raise ValueError("a member stands twice")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"expected a number of JSON, got {text}")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_finite)


def _check(value: Json, options: CompletionCacheRouteOptions, path: str) -> None:
    if any(value.get(name) for name in _ACTING):
        raise PassedByError("tools")
    if any(value.get(name) for name in _STATEFUL) or path.endswith("/responses"):
        raise PassedByError("stateful")
    if options.when == "repeatable" and not _is_repeatable(value):
        raise PassedByError("not-repeatable")


def _is_repeatable(value: Json) -> bool:
    temperature = value.get("temperature")
    return (type(temperature) in (int, float) and temperature == 0) or type(value.get("seed")) is int


def _key_of(exchange: Exchange, value: Json, options: CompletionCacheRouteOptions, *, is_shared: bool) -> Key:
    identity, route, request = exchange.identity, exchange.route, exchange.request
    tenant = None if identity is None or is_shared else identity.tenant
    told = {
        "tenant": tenant,
        "route": [route.name, route.digest, options.revision],
        "target": [request.scheme, request.host, request.target],
        # What the body calls the model does not count once the gateway knows it: another name for it is written there.
        "model": value.get("model") if exchange.model is None else exchange.model,
        "targets": [[[target.name, target.weight] for target in group] for group in exchange.groups],
        # A credential that is left for the target to judge is never answered for another one's.
        "fields": _told(request.fields, _names(options.fields)),
        "body": {name: member for name, member in value.items() if name != "model" and name not in options.ignored},
    }
    return Key(hashlib.sha256(_written(told)).digest(), tenant, route.name)


def _told(fields: Fields, names: frozenset[bytes]) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for name, value in fields.raw:
        lower = name.lower()
        if lower in names:
            told.setdefault(lower.decode("latin-1"), []).append(value.decode("latin-1"))
    return told


@lru_cache(maxsize=256)
def _names(fields: tuple[str, ...]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in (*fields, *CREDENTIALS))


def _written(value: Any) -> bytes:
    """Write equal values equally: members in order of their names, numbers as they were read."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # large integers, halves of surrogate pairs, great depth: it is the value that decides
        pass
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except RecursionError:  # deeper than it can be written from here
        raise PassedByError("body") from None
