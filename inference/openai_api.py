"""Requests in OpenAI's shape: what is understood, what is refused, and how errors look.

Fields that would change the answer and are not supported are refused by name; unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

MAX_STOPS = 4
MAX_STOP_CHARS = 1024
COMPLETION_MAX_TOKENS = 16
RESUME_MEMBER = "headgate_resume"

Message = Mapping[str, str]


class ApiError(Exception):
    """An answer other than 2xx, in OpenAI's error shape."""

    def __init__(
        self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None, **headers: str
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def body(self) -> dict[str, object]:
        """Give the JSON object of this error."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request. Exactly one of `messages` and `prompt` is set; None in `seed` or `max_tokens`: not given.

    `resume` are the cursors of the events that the client has, as they came; empty for an answer from the start.
    """

    model: str
    messages: tuple[Message, ...] | None
    prompt: str | tuple[int, ...] | None
    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stops: tuple[str, ...]
    is_stream: bool
    has_stream_usage: bool
    resume: tuple[str, ...] = ()


def parse_chat(body: bytes) -> Ask:
    """Check the body of a chat completion.

    Raises: ApiError.
    """
    data = _parse_object(body)
    max_tokens = _integer(data, "max_completion_tokens", 1)
    if max_tokens is None:
        max_tokens = _integer(data, "max_tokens", 1)
    return _ask(data, messages=_messages(data.get("messages")), max_tokens=max_tokens)


def parse_completion(body: bytes) -> Ask:
    """Check the body of a text completion; `prompt` is one text, or one list of token ids.

    Raises: ApiError.
    """
    data = _parse_object(body)
    max_tokens = _integer(data, "max_tokens", 1)
    return _ask(data, prompt=_prompt(data.get("prompt")), max_tokens=max_tokens or COMPLETION_MAX_TOKENS)


_SUPPORTED: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "logit_bias": ({},),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "tools": ([],),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
}


def _parse_object(body: bytes) -> dict[str, object]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(f"the body is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(data, dict):
        raise ApiError(f"expected a JSON object as body, got {_kind(data)}", code="invalid_json")
    for name, allowed in _SUPPORTED.items():
        value = data.get(name)
        if value is not None and not any(type(value) is type(good) and value == good for good in allowed):
            hint = f"leave it out or send {orjson.dumps(allowed[0]).decode()}" if allowed else "leave it out"
            raise ApiError(f"{name}: not supported; {hint}", code="unsupported_value", param=name)
    return data


def _ask(
    data: Mapping[str, object],
    max_tokens: int | None,
    messages: tuple[Message, ...] | None = None,
    prompt: str | tuple[int, ...] | None = None,
) -> Ask:
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise _wrong("model", "the name of a model", model)
    is_stream = _flag(data, "stream")
    return Ask(
        model=model,
        messages=messages,
        prompt=prompt,
        max_tokens=max_tokens,
        temperature=_number(data, "temperature", high=2.0),
        top_p=_number(data, "top_p", high=1.0),
        seed=_integer(data, "seed", -(2**63), 2**63 - 1),
        stops=_stops(data.get("stop")),
        is_stream=is_stream,
        has_stream_usage=_stream_usage(data.get("stream_options"), is_stream),
        resume=_resume(data.get(RESUME_MEMBER), is_stream),
    )


def _messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise _wrong("messages", "a list of at least one message", value)
    return tuple(_message(f"messages[{index}]", item) for index, item in enumerate(value))


def _message(where: str, value: object) -> Message:
    if not isinstance(value, dict):
        raise _wrong(where, "an object with role and content", value)
    role = value.get("role")
    if role not in ("system", "developer", "user", "assistant"):
        raise _wrong(f"{where}.role", "system, developer, user or assistant", role)
    # Templates know the older name.
    role = "system" if role == "developer" else role
    return {"role": role, "content": _content(f"{where}.content", value.get("content"))}


def _content(where: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise _wrong(where, "a text or a list of text parts", value)
    texts = []
    for index, part in enumerate(value):
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise ApiError(
                f'{where}[{index}]: expected {{"type": "text", "text": …}}; other parts are not supported', param=where
            )
        texts.append(text)
    return "".join(texts)


def _prompt(value: object) -> str | tuple[int, ...]:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], (str, list)):
        value = value[0]
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(type(token) is int for token in value):
        return tuple(value)
    if isinstance(value, list) and len(value) > 1:
        raise ApiError("prompt: expected one prompt a request, got several", code="unsupported_value", param="prompt")
    raise _wrong("prompt", "a text or a list of token ids", value)


def _stops(value: object) -> tuple[str, ...]:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS:
        raise _wrong("stop", f"a text or a list of at most {MAX_STOPS}", value)
    if not all(isinstance(stop, str) and 0 < len(stop) <= MAX_STOP_CHARS for stop in stops):
        raise _wrong("stop", f"texts of 1 to {MAX_STOP_CHARS} characters", value)
    return tuple(stops)


def _stream_usage(value: object, is_stream: bool) -> bool:
    if value is None:
        return False
    if not isinstance(value, dict):
        raise _wrong("stream_options", "an object", value)
    if not is_stream:
        raise ApiError("stream_options: only allowed with stream: true", param="stream_options")
    return _flag(value, "include_usage", "stream_options.include_usage")


def _resume(value: object, is_stream: bool) -> tuple[str, ...]:
    cursors = [] if value is None else value
    if not isinstance(cursors, list) or not all(isinstance(cursor, str) for cursor in cursors):
        raise ApiError(f"{RESUME_MEMBER}: expected a list of cursors", code="invalid_cursor", param=RESUME_MEMBER)
    if cursors and not is_stream:
        raise ApiError(f"{RESUME_MEMBER}: only allowed with stream: true", code="invalid_cursor", param=RESUME_MEMBER)
    return tuple(cursors)


def _flag(data: Mapping[str, object], name: str, where: str | None = None) -> bool:
    value = data.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _wrong(where or name, "true or false", value)


def _integer(data: Mapping[str, object], name: str, low: int, high: int | None = None) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise _wrong(name, f"a whole number of at least {low}" + ("" if high is None else f", at most {high}"), value)
    return value


def _number(data: Mapping[str, object], name: str, high: float) -> float:
    value = data.get(name)
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= high:
        raise _wrong(name, f"a number from 0 to {high:g}", value)
    return float(value)


def _wrong(where: str, wanted: str, got: object) -> ApiError:
    missing = got is None
    shown = "nothing" if missing else repr(got) if isinstance(got, (int, float, bool)) else _kind(got)
    code = "missing_required_parameter" if missing else "invalid_value"
    return ApiError(f"{where}: expected {wanted}, got {shown}", code=code, param=where)


def _kind(value: object) -> str:
    if isinstance(value, str):
        return f'"{value[:40]}"'
    return {dict: "an object", list: "a list", type(None): "null", bool: "a boolean"}.get(type(value), "a number")
