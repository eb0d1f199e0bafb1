"""What the gateway reads of a JSON request body: the model, and where it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.scanner import make_scanner
from typing import Any, NamedTuple, cast

import orjson

from ..ext.sse import MAX_CHOICES
from .errors import GatewayError


def _refuse_constant(name: str) -> object:
    raise ValueError(f"`{name}` is no JSON value")


_scan_value = cast(Any, make_scanner)(json.JSONDecoder(parse_constant=_refuse_constant))
_WHITESPACE = re.compile(r"[ \t\n\r]*")
MAX_MEMBERS = 1000  # each costs a step on the loop
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class BodyScan:
    """The top-level members that matter for routing.

    `model_span` are character positions of the model's JSON text; where there is none, both are where it may be put.
    """

    text: str
    model: str | None
    model_span: tuple[int, int]
    is_stream: bool
    num_choices: int = 1
    is_usage_wanted: bool = False

    def with_model(self, model: str) -> bytes:
        """Return the body with another model, everything else as it came."""
        start, end = self.model_span
        written = json.dumps(model, ensure_ascii=False)
        if self.model is None:
            return _inserted(self.text, f'"model": {written}').encode()
        return (self.text[:start] + written + self.text[end:]).encode()


def with_member(body: bytes, name: str, value: object) -> bytes:
    """Return a JSON object with one more member at its beginning, everything else as it came."""
    return _inserted(body.decode(), f'"{name}": {orjson.dumps(value).decode()}').encode()


def with_texts(text: str, found: Sequence[Member], written: Mapping[str, str]) -> str:
    """Return an object's text with other values, each given as JSON text; those of members it has not come first."""
    for member in reversed(found):
        if member.key in written:
            text = text[: member.start] + written[member.key] + text[member.end :]
    for key in written.keys() - {member.key for member in found}:
        text = _inserted(text, f'"{key}": {written[key]}')
    return text


def _inserted(text: str, member: str) -> str:
    at = text.index("{") + 1
    is_alone = text[_skip(text, at)] == "}"
    return f"{text[:at]}{member}{'' if is_alone else ', '}{text[at:]}"


def scan(body: bytes) -> BodyScan:
    """Read the top level of a JSON object.

    Raises: GatewayError `bad_body` for what is not one JSON object, or where `model` stands twice, in other letters, or
    is no string: then the gateway and the service might each read another one. Cost: linear in the body.
    """
    try:
        text = body.decode()
        found = members(text)
        if _SURROGATE.search(text):
            orjson.loads(body)  # half a pair is no character: it could be neither compared nor written again
    except (UnicodeDecodeError, ValueError, StopIteration, RecursionError) as error:
        raise GatewayError("bad_body", str(error), public="the body is not a JSON object") from None
    spans = [(key, start, end, value) for key, start, end, value in found if key.lower() == "model"]
    is_stream = any(key == "stream" and value is True for key, _, _, value in found)
    num_choices = _num_choices([value for key, _, _, value in found if key == "n"])
    is_usage_wanted = any(key == "stream_options" and _has_usage(value) for key, _, _, value in found)
    if not spans:
        at = text.index("{") + 1
        return BodyScan(text, None, (at, at), is_stream, num_choices, is_usage_wanted)
    key, start, end, value = spans[0]
    if len(spans) > 1:
        raise GatewayError("bad_body", "`model` stands twice", public="the body names `model` more than once")
    if key != "model":  # some services read names in any letters
        raise GatewayError("bad_body", f"`{key}` for `model`", public="the body must call its model `model`")
    if not isinstance(value, str):
        raise GatewayError("bad_body", "`model` is no string", public="`model` must be a string")
    return BodyScan(text, value, (start, end), is_stream, num_choices, is_usage_wanted)


def _has_usage(options: object) -> bool:
    return isinstance(options, dict) and options.get("include_usage") is True


def _num_choices(told: list[object]) -> int:
    """Return how many choices a whole answer has; what no service would take counts as one."""
    value = told[-1] if told else 1
    return value if type(value) is int and 1 <= value <= MAX_CHOICES else 1


class Member(NamedTuple):
    """A member of an object: its value, and where the value's JSON text stands."""

    key: str
    start: int
    end: int
    value: Any


def members(text: str) -> list[Member]:
    """Return every member of the top-level object, in order. Cost: linear in `text`.

    Raises: ValueError, StopIteration or RecursionError for what is not one JSON object.
    """
    at = _expect(text, _skip(text, 0), "{")
    found: list[Member] = []
    at = _skip(text, at)
    if text[at : at + 1] == "}":
        _end(text, at + 1)
        return found
    while True:
        at = _expect(text, _skip(text, at), '"')
        key, at = scanstring(text, at, True)
        start = _skip(text, _expect(text, _skip(text, at), ":"))
        value, end = _scan_value(text, start)
        found.append(Member(key, start, end, value))
        if len(found) > MAX_MEMBERS:
            raise ValueError(f"expected at most {MAX_MEMBERS} members")
        at = _skip(text, end)
        if text[at : at + 1] == "}":
            _end(text, at + 1)
            return found
        at = _expect(text, at, ",")


def _skip(text: str, at: int) -> int:
    found = _WHITESPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, wanted: str) -> int:
    if text[at : at + 1] != wanted:
        raise ValueError(f"expected `{wanted}` at character {at}")
    return at + 1


def _end(text: str, at: int) -> None:
    if _skip(text, at) != len(text):
        raise ValueError(f"expected the end of the body at character {at}")
