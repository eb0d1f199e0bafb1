"""The work that every proxy is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from .governed import NUM_KEYS, NUM_MODELS, key, model

ANSWER_BYTES = 318
SMALL_BODY_BYTES = 90
PROMPT_BODY_BYTES = 216_000
BURST_BODY_BYTES = 150_000
EVENT_BYTES = 150
EVENT_INTERVAL_S = 0.02
LONG_GAP_MS = 100.0
NUM_STREAMS = 60
NUM_MANY_STREAMS = 512
NUM_BURST = 1500
NUM_IDLE = 10_000
NUM_CACHED = 100  # a multiple of the number of tenants: each of them is asked for by one tenant only
CHAT_PATH = "/v1/chat/completions"
STATUS_PATH = "/status"
CACHED_PATH = "/tools/00/answer"
LAST_EVENT = (
    b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
_NUM_PROMPTS = 8

# requests: as many as are answered; single: the same, one at a time; cache: none reaches the origin; stream: events at
# a fixed pace; burst and idle: once each, by a proxy that has just begun.
Kind = Literal["requests", "single", "cache", "stream", "burst", "idle"]


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of request. `requests` are sent in turn; each has a body of `body_bytes`. `unit` is what is counted."""

    name: str
    title: str
    unit: str
    connections: int
    body_bytes: int
    requests: Callable[[], Iterator[bytes]]
    kind: Kind = "requests"

    @property
    def is_once(self) -> bool:
        """Whether it is done once by a proxy that has just begun: what matters is memory."""
        return self.kind in ("burst", "idle")


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
# What stays of the answer where a proxy reads it and writes it anew.
ANSWER_TEXT = json.dumps(json.loads(ANSWER)["choices"][0]["message"]["content"]).encode()


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


def get_cached(number: int) -> bytes:
    """Return the whole request `number` for an answer that may be kept."""
    return _head("GET", f"{CACHED_PATH}?n={number % NUM_CACHED}", number, "Accept: application/json")


def _head(method: str, target: str, number: int, fields: str) -> bytes:
    credential = f"Authorization: Bearer {key(number % NUM_KEYS)}"
    return f"{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n{credential}\r\n{fields}\r\n\r\n".encode()


def _chats(num: int, size: int) -> Iterator[bytes]:
    return (post(number, chat_body(number, size)) for number in range(num))


def _streams(name: str, num: int) -> Work:
    pace = f"events of {EVENT_BYTES} B, each every {EVENT_INTERVAL_S * 1000:.0f} ms"
    return Work(name, f"{num} streams of {pace}", "event", num, 0, lambda: iter(()), "stream")


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
CACHE = Work(
    name="cache",
    title=f"GET, answer {ANSWER_BYTES} B from the cache",
    unit="request",
    connections=32,
    body_bytes=0,
    requests=lambda: (get_cached(number) for number in range(NUM_KEYS)),
    kind="cache",
)
PROMPT = Work(
    name="prompt",
    title=f"POST {PROMPT_BODY_BYTES // 1000} KB, answer {ANSWER_BYTES} B",
    unit="request",
    connections=8,
    body_bytes=PROMPT_BODY_BYTES,
    requests=lambda: _chats(_NUM_PROMPTS, PROMPT_BODY_BYTES),
)
STREAM = _streams("stream", NUM_STREAMS)
MANY_STREAMS = _streams("many-streams", NUM_MANY_STREAMS)
SINGLE = Work(
    name="single",
    title=f"POST {SMALL_BODY_BYTES} B over one connection",
    unit="request",
    connections=1,
    body_bytes=SMALL_BODY_BYTES,
    requests=lambda: _chats(NUM_KEYS, SMALL_BODY_BYTES),
    kind="single",
)
BURST = Work(
    name="burst",
    title=f"{NUM_BURST} POST of {BURST_BODY_BYTES // 1000} KB at once",
    unit="request",
    connections=NUM_BURST,
    body_bytes=BURST_BODY_BYTES,
    requests=lambda: _chats(NUM_BURST, BURST_BODY_BYTES),
    kind="burst",
)
IDLE = Work(
    name="idle",
    title=f"{NUM_IDLE} idle connections, each after one GET",
    unit="connection",
    connections=NUM_IDLE,
    body_bytes=0,
    requests=lambda: (get(number) for number in range(NUM_IDLE)),
    kind="idle",
)
WORKS = {work.name: work for work in (POST, GET, CACHE, PROMPT, STREAM, MANY_STREAMS, SINGLE, BURST, IDLE)}
