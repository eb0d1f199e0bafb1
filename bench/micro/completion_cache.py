"""Cost of the completion cache to a request, as a multiple of `dict.get` in the same run.

    python -m bench.micro.completion_cache [--requests 300] [--rounds 15]

`hit` is the hook of the plugin from the body to the answer, `other form` the same where the answer is stored as a
stream and asked for as JSON, `passed by` a request with a temperature, which is parsed and no more;
`miss and store` is all that a stream costs on its way in. Prompts of one and
of 16 KiB, answers of 40 chunks. Figures are the least of the rounds, in process time, garbage collection off. The
exit code is 1 where a hit of the smaller prompt is over its target.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import orjson

from headgate.plugins.completion_cache import CompletionCache
from headgate.plugins.testing import make_exchange
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.verdicts import Hit, Identity, Miss

from .frame import Benchmark, Key, Row, least

TARGET_NS = 60_000.0
_OPTIONS = CompletionCache.RouteOptions(enabled=True)
_USAGE = {"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49}


def _chunks(number: int) -> list[bytes]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    choices: list[dict[str, object]] = [
        {"index": 0, "delta": {"content": "word "}, "finish_reason": None} for _ in range(number)
    ]
    told: list[dict[str, object]] = [{**head, "choices": [choice]} for choice in choices]
    choices[-1]["finish_reason"] = "stop"
    told[-1]["usage"] = _USAGE
    return [b"data: " + orjson.dumps(each) + b"\n\n" for each in told]


_CHUNKS = _chunks(40)


def measure(num: int, rounds: int) -> Sequence[Row]:
    """Time the hook for each size of the prompt."""
    names = [f"key-{number:08x}" for number in range(num)]
    subjects: dict[Key, Callable[[], int]] = {("", "dict.get"): partial(_time_dict, dict.fromkeys(names), names)}
    for size in (1, 16):
        plugin, asked = CompletionCache(CompletionCache.Config()), {"temperature": 0, "stream": True}
        _store(plugin, _exchange(size, **asked))
        for what, about in (
            ("hit", asked),
            ("other form", {"temperature": 0}),
            ("passed by", {"temperature": 1}),
        ):
            wanted = Miss if what == "passed by" else Hit
            exchanges = [_exchange(size, **about) for _ in range(num)]
            subjects[f"{size} KiB", what] = partial(_time, plugin, exchanges, wanted)
    subjects["40 chunks", "miss and store"] = partial(_time_store, [_exchange(1, **asked) for _ in range(num)])
    best = least(subjects, num, rounds)
    base = best["", "dict.get"]
    return [
        Row(shape, name, ns, ns / base, TARGET_NS if (shape, name) == ("1 KiB", "hit") else None, "ns")
        for (shape, name), ns in best.items()
    ]


def _exchange(size: int, **about: object) -> Exchange:
    value = {"model": "m", "messages": [{"role": "user", "content": "x" * (size << 10)}], **about}
    return make_exchange(
        "POST",
        "/v1/chat/completions",
        (("Content-Type", "application/json"),),
        orjson.dumps(value),
        options={"completion_cache": _OPTIONS},
        identity=Identity("key", "tenant"),
        model="m",
        now=lambda: 0.0,
    )


def _store(plugin: CompletionCache, exchange: Exchange) -> None:
    """Have a stream stored."""
    miss = plugin.headgate_cache(exchange)
    assert isinstance(miss, Miss) and miss.store is not None and miss.companions is not None
    miss.store.begin(Response(200, Fields([(b"Content-Type", b"text/event-stream")])))
    for chunk in _CHUNKS:
        miss.store.write(chunk)
    miss.store.write(b"data: [DONE]\n\n")
    miss.companions.completed()
    miss.store.commit()


def _time_store(exchanges: list[Exchange]) -> int:
    plugin = CompletionCache(CompletionCache.Config())
    for exchange in exchanges:
        exchange.request.fields.set("cache-control", "no-cache")
    begin = time.process_time_ns()
    for exchange in exchanges:
        _store(plugin, exchange)
    return time.process_time_ns() - begin


def _time(plugin: CompletionCache, exchanges: list[Exchange], wanted: type) -> int:
    ask, begin = plugin.headgate_cache, time.process_time_ns()
    answers = [ask(exchange) for exchange in exchanges]
    end = time.process_time_ns()
    assert all(type(answer) is wanted for answer in answers)
    return end - begin


def _time_dict(known: dict[str, None], names: list[str]) -> int:
    get, start = known.get, time.process_time_ns()
    for name in names:
        get(name)
    return time.process_time_ns() - start


BENCHMARK = Benchmark("cost of the completion cache", "requests", 300, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
