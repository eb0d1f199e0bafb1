"""What the gateway reads of a JSON request body: the model, where it stands, and what else matters to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.scanner import make_scanner
from typing import Any, NamedTuple, cast

import orjson

from ..ext.head_scan import IS_COMPILED, MAX_DIGITS, MAX_MEMBERS, BodyScan, scan_head
from .errors import GatewayError


def _refuse_constant(name: str) -> object:
    raise ValueError(f"`{name}` is no JSON value")


_scan_value = cast(Any, make_scanner)(json.JSONDecoder(parse_constant=_refuse_constant))
_WHITESPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


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
    found = scan_head(body) if IS_COMPILED else None
    return scan_whole(body) if found is None else found


def scan_whole(body: bytes) -> BodyScan:
    """As `scan`, by a full parse: for a body in which anything is odd, and where the head scan is not compiled.

    It takes many times as long as the compiled head scan, and less than half as long as its twin.
    """
    try:
        text = body.decode()
        found = members(text)
        if _SURROGATE.search(text):
            orjson.loads(body)  # half a pair is no character: it could be neither compared nor written again
    except (UnicodeDecodeError, ValueError, StopIteration, RecursionError) as error:
        raise GatewayError("bad_body", str(error), public="the body is not a JSON object") from None
    model = _model(found)
    last = {member.key: member for member in found}
    values = {member.key: member.value for member in found}
    user, prompt = values.get("user"), last.get("messages", last.get("prompt"))
    first = text.index("{") + 1
    return BodyScan(
        body,
        model.value if model else None,
        _byte_span(text, *((model.start, model.end) if model else (first, first))),
        is_stream=any(member.key == "stream" and member.value is True for member in found),
        is_usage_wanted=any(member.key == "stream_options" and _has_usage(member.value) for member in found),
        n=_integer(values.get("n")),
        max_tokens=_integer(values.get("max_tokens")),
        max_completion_tokens=_integer(values.get("max_completion_tokens")),
        seed=_integer(values.get("seed")),
        user=user if isinstance(user, str) else None,
        prompt_span=_byte_span(text, prompt.start, prompt.end) if prompt else None,
    )


def _model(found: Sequence[Member]) -> Member | None:
    models = [member for member in found if member.key.lower() == "model"]
    if not models:
        return None
    model = models[0]
    if len(models) > 1:
        raise GatewayError("bad_body", "`model` stands twice", public="the body names `model` more than once")
    if model.key != "model":  # some services read names in any letters
        raise GatewayError("bad_body", f"`{model.key}` for `model`", public="the body must call its model `model`")
    if not isinstance(model.value, str):
        raise GatewayError("bad_body", "`model` is no string", public="`model` must be a string")
    return model


def _byte_span(text: str, start: int, end: int) -> tuple[int, int]:
    at = len(text[:start].encode())
    return at, at + len(text[start:end].encode())


def _has_usage(options: object) -> bool:
    return isinstance(options, dict) and options.get("include_usage") is True


def _integer(value: object) -> int | None:
    return value if type(value) is int and abs(value) < 10**MAX_DIGITS else None


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
