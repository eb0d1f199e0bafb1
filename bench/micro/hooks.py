"""Cost of one call of each built-in stage hook, as a multiple of `dict.get` in the same run.

    python -m bench.micro.hooks [--exchanges 1000] [--rounds 15]

Plugins, keys and routes are those of `examples/governed.yaml`, exchanges are what the gateway makes of the requests of
its benchmark. `cache, hit` is asked for 100 stored answers, `cache, miss` for others, which are let go at once.
`nothing` is a hook without opinion, `inline chain` the same through a chain. Figures are the least of the rounds, in
process time, garbage collection off, with the loop's own cost taken away. The exit code is 1 where a hook is over its
target.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from headgate.ext.http1 import HeadLimits, parse_request_head
from headgate.plugins.cache import Cache
from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request, Response
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.plugin_close import close_plugin
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.snapshot import Snapshot
from headgate.proxy.stages import Chain, Hook
from headgate.proxy.verdicts import Miss

from ..governed import CONFIG_NAME, EXAMPLES, NUM_MODELS, PEPPER, PEPPER_VARIABLE, model
from ..works import ANSWER, SMALL_BODY_BYTES, chat_body, get, post
from .frame import Benchmark, Key, Row, least

TARGETS_NS = {
    "api_key, auth": 3000.0,
    "rate_limit": 2000.0,
    "model_route": 700.0,
    "cache, POST": 600.0,
    "cache, hit": 5000.0,
}
_NUM_STORED = 100
_BATCH = 100
_END = b"\r\n\r\n"
_STORED_FIELDS = ((b"Content-Type", b"application/json"), (b"Cache-Control", b"max-age=3600"))

Hooked = Callable[[Any], object]


class _Body:
    """A request body of which nobody reads a byte."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.is_empty = not length

    async def read(self, limit_bytes: int) -> bytes:
        return b""

    def arrived(self, limit_bytes: int) -> bytes | None:
        return b""

    def replace(self, data: bytes) -> None:
        raise RuntimeError("expected no stage to replace the body")


def measure(num: int, rounds: int) -> Sequence[Row]:
    """Time one call of each hook, on a fresh exchange each time."""
    snapshot = _snapshot()
    get_number = {number: number for number in range(num)}.get
    subjects: dict[Key, Callable[[], int]] = {
        ("", "empty loop"): partial(_time_fresh, None, int, num),
        ("", "dict.get"): partial(_time_fresh, get_number, int, num),
    }
    for name, (hook, make) in _hooks(snapshot).items():
        subjects[name, "hook"] = partial(_time_fresh, hook, make, num)
    try:
        best = least(subjects, num, rounds)
    finally:
        for name, instance in snapshot.instances.items():
            close_plugin(name, instance)
    empty = best.pop(("", "empty loop"))
    base = best["", "dict.get"] - empty
    return [Row(*key, ns - empty, (ns - empty) / base, TARGETS_NS.get(key[0]), "ns") for key, ns in best.items()]


def _hooks(snapshot: Snapshot) -> dict[str, tuple[Hooked, Callable[[int], Exchange]]]:
    """Return each hook with what makes its exchanges, by number."""
    plugins = snapshot.instances
    keys, cache = plugins["api_key"], plugins["cache"]
    chat, known = partial(_post, snapshot), partial(_admitted, keys, partial(_post, snapshot))
    seek = partial(_admitted, keys, partial(_get, snapshot))
    _store(cache, seek)
    return {
        "nothing": (_silent, chat),
        "api_key, auth": (keys.headgate_auth, chat),
        "api_key, ratelimit": (keys.headgate_ratelimit, known),
        "rate_limit": (plugins["rate_limit"].headgate_ratelimit, known),
        "model_route": (plugins["model_route"].headgate_route, known),
        "cache, POST": (cache.headgate_cache, known),
        "cache, hit": (cache.headgate_cache, lambda number: seek(number % _NUM_STORED)),
        "cache, miss": (partial(_let_go, cache), lambda number: seek(number + _NUM_STORED)),
        "inline chain": (Chain("route", (Hook("none", _silent, False),)).first_inline, chat),
    }


def _snapshot() -> Snapshot:
    types = PluginTypes()
    config = load(EXAMPLES / CONFIG_NAME, types.schemas(), {PEPPER_VARIABLE: PEPPER})
    return build(config, types, Registry())


def _post(snapshot: Snapshot, number: int) -> Exchange:
    exchange = _exchange(snapshot, post(number, chat_body(number, SMALL_BODY_BYTES)), _Body(SMALL_BODY_BYTES))
    exchange.model = model(number % NUM_MODELS)
    return exchange


def _get(snapshot: Snapshot, number: int) -> Exchange:
    return _exchange(snapshot, get(number), _Body(0))


def _exchange(snapshot: Snapshot, data: bytes, body: _Body) -> Exchange:
    """Return the exchange of a request, as it is once its route is found."""
    head = parse_request_head(data.partition(_END)[0] + _END, HeadLimits())
    target = head.target.decode()
    path, _, query = target.partition("?")
    method = head.method.decode()
    request = Request(
        method, target, path, query, head.host, "http", "127.0.0.1", "127.0.0.1", Fields(head.fields), body
    )
    exchange = Exchange(request, "request-1", time.monotonic)
    program, exchange.params = snapshot.match(request)
    exchange.route, exchange.groups, exchange.models = program.view, program.view.groups, snapshot.models
    exchange.deadline = exchange.now() + program.deadline_s
    return exchange


def _admitted(keys: Any, make: Callable[[int], Exchange], number: int) -> Exchange:
    """Return the exchange of a request whose key is known already."""
    exchange = make(number)
    exchange.identity = keys.headgate_auth(exchange)
    return exchange


def _store(cache: Cache, make: Callable[[int], Exchange]) -> None:
    """Have the first answers stored."""
    for number in range(_NUM_STORED):
        verdict = cache.headgate_cache(make(number))
        if not isinstance(verdict, Miss) or verdict.store is None:
            raise RuntimeError(f"expected a miss whose answer is wanted, got {verdict}")
        verdict.store.begin(Response(200, Fields(_STORED_FIELDS), ANSWER, len(ANSWER)))
        verdict.store.write(ANSWER)
        verdict.store.commit()


def _silent(subject: object) -> None:
    """Have no opinion."""


def _let_go(cache: Cache, exchange: Exchange) -> None:
    """Miss, and give up the answer: at most one is under way."""
    verdict = cache.headgate_cache(exchange)
    if isinstance(verdict, Miss) and verdict.store is not None:
        verdict.store.discard()


def _time_fresh(hook: Hooked | None, make: Callable[[int], object], num: int) -> int:
    """Time calls by batches, as a gateway has few exchanges at once: what is made for one is near when it is used."""
    spent = 0
    for start in range(0, num, _BATCH):
        subjects = [make(number) for number in range(start, min(start + _BATCH, num))]
        began = time.process_time_ns()
        if hook is None:
            for _ in subjects:
                pass
        else:
            for subject in subjects:
                hook(subject)
        spent += time.process_time_ns() - began
    return spent


BENCHMARK = Benchmark("cost of the built-in stage hooks", "exchanges", 1_000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
