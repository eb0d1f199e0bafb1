"""What a request asks a model: its texts, roles, tools and limits, out of the JSON of OpenAI's interfaces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TEXTS = ("messages", "prompt", "input", "instructions", "suffix", "system", "tools", "functions")
_SHAPES = ("messages", "prompt", "input")
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_TOOLS = ("tools", "functions")
# Members that name things, and what they then say. Anything else that stands there may come before the model.
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_NAMING = frozenset({"type", "status", "detail", "format"})
_NAME = re.compile(r"[a-z0-9_]{1,32}")
_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_-]{0,63}")
# Parts that are no text, and those of their members that hold what they are.
_BINARY = frozenset({"image_url", "input_image", "input_audio", "input_file", "file", "image", "audio"})
_BINARY_MEMBERS = frozenset({*_BINARY, "data", "file_data", "url", "source"})
_TOO_MANY = 10**18
# Some services read names in any letters: a name that matters stands as it is meant, or not at all.
_MEANT = frozenset({*_TEXTS, *_LIMITS, "model", "role", "type", "content", "text"})


class BadPromptError(Exception):
    """The body is no request of a known shape. The text holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked. `texts` are the strings of the prompt, and those of a content in parts also as one text.

    `is_tokens`: some of it is given as numbers of tokens, which say nothing to whoever has not the model.
    """

    model: str | None
    texts: tuple[str, ...]
    num_characters: int
    num_messages: int
    roles: frozenset[str]
    max_tokens: int
    has_tools: bool
    is_tokens: bool


def read_prompt(data: bytes) -> Prompt:
    """Return what a body asks for. Raises: BadPromptError. Cost: linear in the body."""
    try:
        body = json.loads(data.decode(), object_pairs_hook=_distinct, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BadPromptError("the body is not one JSON object that can be read in one way only") from None
    shapes = [name for name in _SHAPES if isinstance(body, dict) and body.get(name) is not None]
    if not shapes:
        raise BadPromptError("the body has no `messages`, `prompt` or `input`")
    found = [string for name in _TEXTS for string in _strings(body.get(name))]
    if not all(map(_is_text, found)):
        raise BadPromptError("a text holds half a pair of surrogates")
    messages = [each for name in ("messages", "input") for each in _items(body.get(name)) if isinstance(each, dict)]
    joined = [string for message in messages for string in _joined(message)]
    model = body.get("model")
    return Prompt(
        model=model if isinstance(model, str) else None,
        texts=(*found, *joined),
        num_characters=sum(map(len, found)),
        num_messages=max(len(_items(body.get(name))) for name in _SHAPES),
        roles=frozenset(str(each["role"]) for each in messages if "role" in each),
        max_tokens=max(_number(body.get(name)) for name in _LIMITS),
        has_tools=any(body.get(name) for name in _TOOLS) or any(_has_calls(each) for each in messages),
        is_tokens=any(_has_numbers(body.get(name)) for name in ("prompt", "input")),
    )


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts of a part of the prompt, in order. Cost: linear, however deep they stand."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict):
            is_binary = isinstance(kind := value.get("type"), str) and kind in _BINARY
            yield from (name for name in value if not _KEY.fullmatch(name))
            waiting += reversed([each for name, each in value.items() if not _is_no_text(name, each, is_binary)])


def _is_no_text(name: str, value: Any, is_binary: bool) -> bool:
    if is_binary and name in _BINARY_MEMBERS:
        return True
    if type(value) is not str:
        return False
    return value in _ROLES if name == "role" else name in _NAMING and _NAME.fullmatch(value) is not None


def _joined(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of a content in parts as one: that is how a service reads them."""
    content = message.get("content")
    if isinstance(content, list) and len(content) > 1:
        yield "".join(_strings(content))


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ([value] if value is not None else [])


def _is_text(string: str) -> bool:
    try:
        return string.isascii() or bool(string.encode())
    except UnicodeEncodeError:
        return False


def _number(value: Any) -> int:
    """Return a number of tokens; what is none, and may be read as one somewhere, counts as more than is allowed."""
    return value if type(value) is int else _TOO_MANY if value is not None else 0


def _has_calls(message: Mapping[str, Any]) -> bool:
    is_tool = message.get("role") in ("tool", "function") or str(message.get("type", "")).startswith("function_call")
    return is_tool or bool(message.get("tool_calls") or message.get("function_call"))


def _has_numbers(value: Any) -> bool:
    listed = value if isinstance(value, list) else []
    return any(type(each) is int or (isinstance(each, list) and int in map(type, each)) for each in listed)


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) or any(name not in _MEANT and name.lower() in _MEANT for name in found):
        raise ValueError("a name stands twice, or in other letters")
    return found


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
