"""What the compiled lane offers, for type checkers."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from ._http1_facts import HeadLimits, Pair

class Settings(Protocol):
    @property
    def head_limits(self) -> HeadLimits: ...

class Facts:
    def __init__(
        self,
        settings: Any,
        classes: tuple[type, object, str],
        now: Callable[[], float],
        kinds: tuple[Callable[[bytes], int], Callable[[bytes], int]],
        methods: tuple[str, ...],
    ) -> None: ...

class Arrived:
    exchange: Any  # of the shape of the reference path's
    size: int
    length: int
    is_kept: bool
    is_telling: bool
    has_wishes: bool
    told_id: str | None
    told_trace: str | None

class AnswerHead:
    status: int
    reason: bytes
    raw: list[Pair]
    length: int | None
    is_keep_alive: bool
    is_event_stream: bool
    media_type: bytes
    numerics: bytes | None
    size: int

class Downstream:
    transport: asyncio.Transport
    settings: Any
    serving: Any
    exchange_task: asyncio.Task[Any] | None
    is_last: bool
    is_cut: bool
    origin: Any
    def __init__(self, door: object, facts: Facts, loop: asyncio.AbstractEventLoop, scheme: str) -> None: ...
    @property
    def writing_paused(self) -> bool: ...
    @property
    def peer_address(self) -> str: ...
    @property
    def received_bytes(self) -> int: ...
    @property
    def has_body(self) -> bool: ...
    @property
    def is_idle(self) -> bool: ...
    def hold_body(self) -> None: ...
    def release_body(self) -> None: ...
    def taken_over(self, task: asyncio.Task[Any]) -> None: ...
    def handled(self, is_kept: bool) -> None: ...
    def refuse(self, error: Exception) -> None: ...
    def linger(self) -> None: ...
    def close_now(self) -> None: ...
    def reset(self) -> None: ...
    def force_close(self) -> None: ...
    def drain(self) -> None: ...
    def flush_soon(self) -> None: ...
    def call_serving_at(self, instant: float) -> None: ...
    async def drained(self) -> None: ...

def clock() -> float: ...
def decorate(
    raw: list[Pair],
    added: list[tuple[str, str]],
    date: bytes,
    request_id: str,
    target: str | None,
    num_attempts: int,
    cache_status: str | None,
) -> None: ...
def is_quiet(descriptor: int) -> bool: ...
def joined(head: bytes, piece: bytes, is_chunked: bool, is_last: bool) -> bytes: ...
def read_answer(data: bytes, facts: Facts, max_head_bytes: int, max_fields: int) -> AnswerHead | None: ...
def write_answer(status: int, reason: bytes, raw: list[Pair], length: int | None, is_kept: bool) -> bytes | None: ...
def write_request(
    exchange: object,
    facts: Facts,
    host: bytes,
    told: bytes,
    dropped: frozenset[bytes],
    added: bytes,
    length: int,
) -> bytes | None: ...
