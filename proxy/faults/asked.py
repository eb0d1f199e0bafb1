"""What a completion request asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from ..config.wording import shown

MAX_CHOICES = 16
_MAX_NUMBER = 1 << 53

Json = dict[str, Any]


class AskedError(ValueError):
    """A body that asks for nothing. `param` is the member that is wrong."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a completion. `prefill` is a text of the assistant at the end that the answer is to continue."""

    is_chat: bool
    model: str | None
    is_stream: bool
    num_choices: int
    max_tokens: int | None
    has_usage: bool
    prefill: str | None
    num_prompt_tokens: int


def read_asked(body: bytes, *, is_chat: bool) -> Asked:
    """Read a body. Raises: AskedError. Cost: linear in the body."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise AskedError("the body: wanted a JSON object, got what is not JSON") from None
    if not isinstance(value, dict):
        raise AskedError(f"the body: wanted a JSON object, got {shown(value)}")
    is_stream = _flag(value, "stream")
    options = value.get("stream_options") or {}
    if not isinstance(options, dict):
        raise AskedError(f"stream_options: wanted an object, got {shown(options)}", "stream_options")
    texts = _messages(value) if is_chat else _prompt(value)
    return Asked(
        is_chat=is_chat,
        model=value["model"] if isinstance(value.get("model"), str) else None,
        is_stream=is_stream,
        num_choices=_number(value, "n", 1, MAX_CHOICES) or 1,
        max_tokens=_first(_number(value, "max_completion_tokens", 0), _number(value, "max_tokens", 0)),
        has_usage=not is_stream or _flag(options, "include_usage"),
        prefill=_prefill(value) if is_chat else None,
        num_prompt_tokens=sum(len(text.split()) for text in texts),
    )


def _flag(value: Json, name: str) -> bool:
    flag = value.get(name)
    if flag is not None and not isinstance(flag, bool):
        raise AskedError(f"{name}: wanted true or false, got {shown(flag)}", name)
    return bool(flag)


def _number(value: Json, name: str, least: int, most: int = _MAX_NUMBER) -> int | None:
    number = value.get(name)
    if number is None:
        return None
    if type(number) is not int or not least <= number <= most:
        raise AskedError(f"{name}: wanted a whole number from {least} to {most}, got {shown(number)}", name)
    return number


def _first(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)


def _messages(value: Json) -> list[str]:
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise AskedError("messages: wanted a list of at least one message", "messages")
    return [_content(message) for message in messages]


def _content(message: Json) -> str:
    """Return a message's text; of a list of parts, that of the parts that have one."""
    content = message.get("content")
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _prompt(value: Json) -> list[str]:
    prompt = value.get("prompt")
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt, list) and all(isinstance(each, str) for each in prompt):
        return prompt
    raise AskedError(f"prompt: wanted a text or a list of texts, got {shown(prompt)}", "prompt")


def _prefill(value: Json) -> str | None:
    last = value["messages"][-1]
    return _content(last) if last.get("role") == "assistant" else None
