"""Cost of one streamed chunk of a completion, as a multiple of `orjson.loads` of its data alone in the same run.

    python -m bench.micro.sse [--events 1000] [--rounds 15]

Every chunk comes in a piece of its own, as services send them, is scanned for its end and folded into the answer's
state; "parse and walk" is what a relay without a scanner would do. Figures are the least of the rounds, in process
time, garbage collection off, with the loop's own cost taken away. The exit code is 1 where the compiled scanner is over
its target.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType

import orjson

from headgate.ext import IMPLEMENTATIONS, implementation

from .frame import Benchmark, Key, Row, least

TARGET = 1.0
_LOADS = "orjson.loads"


def measure(num_events: int, rounds: int) -> Sequence[Row]:
    """Time every subject on the same events."""
    subjects: dict[Key, Callable[[], int]] = {}
    for shape, chunk in _SHAPES.items():
        datas = [chunk(number) for number in range(num_events)]
        pieces = [b"data: " + data + b"\n\n" for data in datas]
        name = f"{shape}, {len(pieces[0])} B"
        subjects[name, "empty loop"] = partial(_time, lambda data: None, datas)
        subjects[name, "dict.get"] = partial(_time, dict.fromkeys(datas).get, datas)
        subjects[name, _LOADS] = partial(_time, orjson.loads, datas)
        subjects[name, "parse and walk"] = partial(_time, _walk, datas)
        for which in IMPLEMENTATIONS:
            subjects[name, which] = partial(_time_scanner, implementation("sse", which), pieces)
    best = least(subjects, num_events, rounds)
    return [row for shape in dict.fromkeys(shape for shape, _ in best) for row in _rows(shape, best)]


def _rows(shape: str, best: dict[Key, float]) -> list[Row]:
    empty = best[shape, "empty loop"]
    base = best[shape, _LOADS] - empty
    return [
        Row(shape, subject, ns - empty, (ns - empty) / base, TARGET if subject == "compiled" else None)
        for (found, subject), ns in best.items()
        if found == shape and subject != "empty loop"
    ]


def _chat(number: int) -> bytes:
    choice = {"index": 0, "delta": {"content": f" word{number}"}, "logprobs": None, "finish_reason": None}
    return orjson.dumps(_head(number) | {"choices": [choice]})


def _wide(number: int) -> bytes:
    """Text that is not ASCII, and usage with every chunk."""
    usage = {"prompt_tokens": 17, "completion_tokens": number, "total_tokens": 17 + number}
    choice = {"index": 0, "delta": {"content": f"\u4f60\u597d{number}"}, "logprobs": None, "finish_reason": None}
    return orjson.dumps(_head(number) | {"choices": [choice], "usage": usage})


def _tool(number: int) -> bytes:
    call = {"index": 0, "function": {"arguments": f'{{"city": "{number}", "unit": "C"}}' * 12}}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "logprobs": None, "finish_reason": None}
    return orjson.dumps(_head(number) | {"choices": [choice]})


def _head(number: int) -> dict[str, object]:
    head = {"id": f"chatcmpl-{number:08x}", "object": "chat.completion.chunk", "created": 1764106012}
    return head | {"model": "heavy-1", "system_fingerprint": "fp_0"}


_SHAPES: dict[str, Callable[[int], bytes]] = {"chat": _chat, "wide, usage": _wide, "tool call": _tool}


def _walk(data: bytes) -> bool:
    """Ask a parsed chunk for the least that a relay has to know."""
    value = orjson.loads(data)
    if value.get("error") is not None:
        return False
    is_finished = False
    for choice in value["choices"]:
        is_finished |= choice["index"] == 0 and choice.get("finish_reason") is not None
        is_finished |= bool((choice.get("delta") or {}).get("content")) and value.get("usage") is None
    return is_finished


def _time(subject: Callable[[bytes], object], datas: list[bytes]) -> int:
    fresh = [data[:9] + data[9:] for data in datas]  # the stored objects would know their hash
    start = time.process_time_ns()
    for data in fresh:
        subject(data)
    return time.process_time_ns() - start


def _time_scanner(module: ModuleType, pieces: list[bytes]) -> int:
    feed, state = module.EventScanner().feed, module.StreamState()
    see = state.see
    start = time.process_time_ns()
    for piece in pieces:
        for event in feed(piece):
            see(event)
    elapsed = time.process_time_ns() - start
    assert state.num_events == len(pieces) and state.has_content and not state.is_finished
    return elapsed


BENCHMARK = Benchmark("cost of one streamed chunk", "events", 1000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
