"""A request to measure with, and what the targets answer to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..config.schema import Config
from ..config.schema_route import RouteConfig

_PARAMETER = re.compile(r"\{\*?[^}]+\}")
_WITH_BODY = ("POST", "PUT", "PATCH")
_MODEL = "model"
_TEXT = "What does a plugin cost?"
_NUM_EVENTS = 16
_USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `target` is path and query; `fields` are all but Host and those that frame the body."""

    method: str = "GET"
    target: str = "/"
    host: str = "localhost"
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def altered(self, fields: Mapping[str, str], body: bytes | None) -> Asked:
        """Return the request with other values of `fields`, and another body unless that is None."""
        given = {name.lower() for name in fields}
        kept = tuple(pair for pair in self.fields if pair[0].lower() not in given)
        return replace(self, fields=(*kept, *fields.items()), body=self.body if body is None else body)


@dataclass(frozen=True, slots=True)
class Given:
    """What every target answers."""

    status: int = 200
    fields: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain"),)
    body: bytes = b"ok"


def asked_of(route: RouteConfig, config: Config) -> Asked:
    """Return a request that the route takes, as far as its match tells; for one that reads a model a chat's."""
    match = route.match
    usual = "POST" if route.read_model else "GET"
    method = usual if not match.methods or usual in match.methods else match.methods[0]
    fields = {
        name: rule.exact or rule.prefix or "x" for name, rule in match.headers.items() if rule.present is not False
    }
    host = match.hosts[0] if match.hosts else "localhost"
    asked = Asked(method, _PARAMETER.sub("x", match.path), host.replace("*", "x"), tuple(fields.items()))
    if method not in _WITH_BODY or not route.read_model:
        return asked
    model = next(iter(config.models), _MODEL)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": _TEXT}]}).encode()
    return replace(asked, fields=(*asked.fields, ("Content-Type", "application/json")), body=body)


def given_by(route: RouteConfig, *, is_stream: bool) -> Given:
    """Return what the targets of a route answer: a chat's answer, plain text, or 16 events."""
    if is_stream:
        events = b"".join(b"data: %b\n\n" % _chunk(number) for number in range(_NUM_EVENTS - 1))
        return Given(fields=(("Content-Type", "text/event-stream"),), body=events + b"data: [DONE]\n\n")
    if route.kind != "inference":
        return Given()
    choice = {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "model": _MODEL, "choices": [choice], "usage": _USAGE}
    return Given(fields=(("Content-Type", "application/json"),), body=json.dumps(answer).encode())


def _chunk(number: int) -> bytes:
    choice = {"index": 0, "delta": {"content": f"word-{number} "}, "finish_reason": None}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": _MODEL, "choices": [choice]}
    return json.dumps(chunk).encode()
