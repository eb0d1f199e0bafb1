"""The work that every proxy is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .governed import NUM_KEYS, NUM_MODELS, key, model

ANSWER_BYTES = 318
SMALL_BODY_BYTES = 90
PROMPT_BODY_BYTES = 216_000
EVENT_BYTES = 150
EVENT_INTERVAL_S = 0.02
NUM_STREAMS = 60
CHAT_PATH = "/v1/chat/completions"
STATUS_PATH = "/status"
LAST_EVENT = (
    b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
_NUM_PROMPTS = 8


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of request. `requests` are sent in turn; each has a body of `body_bytes`. `unit` is what is counted."""

    name: str
    title: str
    unit: str
    connections: int
    body_bytes: int
    requests: Callable[[], Iterator[bytes]]
    is_streamed: bool = False


def padded(start: str, end: str, size: int) -> bytes:
    """Return `start`, dots and `end`, `size` bytes in all. Raises: ValueError where it is too small."""
    room = size - len(start) - len(end)
    if room < 0:
        raise ValueError(f"expected room for {len(start) + len(end)} bytes, got {size}")
    return f"{start}{'.' * room}{end}".encode()


ANSWER = padded(
    '{"id":"chatcmpl-0","object":"chat.completion","created":0,"model":"model","choices":[{"index":0,"message":'
    '{"role":"assistant","content":"',
    '"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}',
    ANSWER_BYTES,
)


def chat_body(number: int, size: int) -> bytes:
    """Return the body of chat request `number`."""
    start = f'{{"model":{json.dumps(model(number % NUM_MODELS))},"messages":[{{"role":"user","content":"'
    return padded(start, '"}]}', size)


def stream_body(number: int, num_events: int) -> bytes:
    """Return the body of a request for a stream of `num_events` events."""
    asked = {"stream": True, "model": model(number % NUM_MODELS), "max_tokens": num_events}
    return json.dumps({**asked, "messages": [{"role": "user", "content": "go"}]}, separators=(",", ":")).encode()


def post(number: int, body: bytes) -> bytes:
    """Return the whole chat request `number`, with the key of its turn."""
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
    return _head("POST", CHAT_PATH, number, fields) + body


def get(number: int) -> bytes:
    """Return the whole request `number` for a small answer, each with a URI of its own."""
    return _head("GET", f"{STATUS_PATH}?n={number}", number, "Accept: application/json")


def _head(method: str, target: str, number: int, fields: str) -> bytes:
    credential = f"Authorization: Bearer {key(number % NUM_KEYS)}"
    return f"{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n{credential}\r\n{fields}\r\n\r\n".encode()


def _chats(num: int, size: int) -> Iterator[bytes]:
    return (post(number, chat_body(number, size)) for number in range(num))


POST = Work(
    name="post",
    title=f"POST {SMALL_BODY_BYTES} B, answer {ANSWER_BYTES} B",
    unit="request",
    connections=32,
    body_bytes=SMALL_BODY_BYTES,
    requests=lambda: _chats(NUM_KEYS, SMALL_BODY_BYTES),
)
GET = Work(
    name="get",
    title=f"GET, answer {ANSWER_BYTES} B",
    unit="request",
    connections=32,
    body_bytes=0,
    requests=lambda: (get(number) for number in range(NUM_KEYS)),
)
PROMPT = Work(
    name="prompt",
    title=f"POST {PROMPT_BODY_BYTES // 1000} KB, answer {ANSWER_BYTES} B",
    unit="request",
    connections=8,
    body_bytes=PROMPT_BODY_BYTES,
    requests=lambda: _chats(_NUM_PROMPTS, PROMPT_BODY_BYTES),
)
STREAM = Work(
    name="stream",
    title=f"{NUM_STREAMS} streams of events of {EVENT_BYTES} B, each every {EVENT_INTERVAL_S * 1000:.0f} ms",
    unit="event",
    connections=NUM_STREAMS,
    body_bytes=0,
    requests=lambda: iter(()),
    is_streamed=True,
)
WORKS = {work.name: work for work in (POST, GET, PROMPT, STREAM)}
