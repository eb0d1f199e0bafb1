"""Cost of one head scan of a request body, as a multiple of `orjson.loads` of the same bytes in the same run.

    python -m bench.micro.head_scan [--bodies 20] [--rounds 15]

Bodies are chat requests of 90 B and of about 216 KB: one prompt as `bench.works` sends it, English with line breaks and
quotes, a long conversation, the same with other scripts plain and escaped, tools as JSON Schema, and numbers for an
embedding. "whole" is what a gateway without the scan does (`scan_whole`); the twin is timed on small bodies alone.
Figures are the least of the rounds, in process time, garbage collection off, with the loop's own cost taken away. The
exit code is 1 where the compiled scan is over its target.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import orjson

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.proxy.body_scan import scan_whole

from ..works import PROMPT_BODY_BYTES, SMALL_BODY_BYTES, chat_body
from .frame import Benchmark, Key, Row, least

_LOADS = "orjson.loads"
TARGETS = {
    "small": 1.0,
    **dict.fromkeys(("prompt", "conversation", "Chinese", "French", "tools"), 0.33),
    "English": 0.4,  # a quote or a line break each 70 bytes
    **dict.fromkeys(("French, escaped", "numbers"), 0.6),
}
_NUM_SMALL = 100  # so many small bodies take the time of a large one


def measure(num_bodies: int, rounds: int) -> Sequence[Row]:
    """Time every subject on the same bodies."""
    subjects: dict[Key, Callable[[], int]] = {}
    for shape, body in _bodies().items():
        bodies = [body] * (num_bodies * _NUM_SMALL if len(body) < 1000 else num_bodies)
        name = f"{shape}, {len(body)} B"
        subjects[name, "empty loop"] = partial(_time, lambda body: None, bodies, num_bodies)
        subjects[name, _LOADS] = partial(_time, orjson.loads, bodies, num_bodies)
        for which in IMPLEMENTATIONS:
            if which != "twin" or len(body) < 1000:
                subjects[name, which] = partial(_time, implementation("head_scan", which).scan_head, bodies, num_bodies)
        subjects[name, "whole"] = partial(_time, scan_whole, bodies[:: len(bodies) // num_bodies], num_bodies)
    best = least(subjects, num_bodies, rounds)
    return [row for shape in dict.fromkeys(shape for shape, _ in best) for row in _rows(shape, best)]


def _rows(shape: str, best: dict[Key, float]) -> list[Row]:
    empty = best[shape, "empty loop"]
    base = best[shape, _LOADS] - empty
    target = TARGETS.get(shape.rpartition(",")[0])
    return [
        Row(shape, subject, ns - empty, (ns - empty) / base, target if subject == "compiled" else None)
        for (found, subject), ns in best.items()
        if found == shape and subject != "empty loop"
    ]


def _time(subject: Callable[[bytes], object], bodies: Sequence[bytes], num_bodies: int) -> int:
    """Return the time of all bodies, as if they were `num_bodies`."""
    start = time.process_time_ns()
    for body in bodies:
        subject(body)
    return (time.process_time_ns() - start) * num_bodies // len(bodies)


def _bodies() -> dict[str, bytes]:
    random = Random(1)
    english = _text(random, "the quick brown fox jumps over lazy dogs and some other words follow it here")
    chinese = _text(random, "你好世界 我们 今天 一起 学习 新的 语言 和 文字")
    french = _text(random, "le système de règles où l'élève a été naïf voit des choses très différentes")
    tool = {"name": "f", "description": "does a thing", "parameters": {"type": "object", "properties": _SCHEMA}}
    parts = [english[at : at + 600] for at in range(0, len(english), 600)]
    return {
        "small": chat_body(7, SMALL_BODY_BYTES),
        "prompt": chat_body(7, PROMPT_BODY_BYTES),
        "English": _chat([english]),
        "conversation": _chat(parts),
        "Chinese": _chat([chinese]),
        "French": _chat([french]),
        "French, escaped": _chat([french], is_ascii=True),
        "tools": _chat(["go"], tools=[{"type": "function", "function": tool}] * 800),
        "numbers": _chat(["go"], embedding=[random.gauss(0, 1) for _ in range(10_000)]),
    }


_SCHEMA = {"a": {"type": "string", "enum": ["x", "y", "z"]}, "b": {"type": "integer", "minimum": 3}}


def _text(random: Random, words: str) -> str:
    """Return words by the line, some of them in quotes."""
    lines, num_bytes = [], 0
    while num_bytes < PROMPT_BODY_BYTES:
        line = " ".join(random.choices(words.split(), k=16))
        lines.append(f'"{line}"' if random.random() < 0.1 else line)
        num_bytes += len(line.encode())
    return "\n".join(lines)


def _chat(contents: Sequence[str], *, is_ascii: bool = False, **members: object) -> bytes:
    messages = [{"role": "user", "content": content} for content in contents]
    return json.dumps({"model": "m", "messages": messages, **members}, ensure_ascii=is_ascii).encode()


BENCHMARK = Benchmark("cost of one head scan", "bodies", 20, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
