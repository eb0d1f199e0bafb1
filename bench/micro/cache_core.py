"""Cost of one hit, and of one set that evicts, as multiples of a `dict.get` in the same run.

    python -m bench.micro.cache_core [--entries 10000] [--rounds 15]

Every entry has a size within a full budget and an expiry. Every call has a key object of its own, as each request
brings one, and every set a key that is new. Peers are timed where they are installed (lru-dict, cachetools, theine);
none of them has both a budget of bytes and an expiry of each entry. Figures are the least of the rounds, in process
time, garbage collection off, with the loop's own cost taken away. The exit code is 1 where a compiled core is over its
target.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from random import Random
from typing import Any

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.cache_core import POLICIES, CacheCore

from .frame import Benchmark, Key, Row, least

TARGETS = {"hit": 3.0, "set, evicting": 5.0}
_SIZE_BYTES = 1500
_NOW_S, _EXPIRY_S = 1.0, 61.0
_serial = count()
Timed = Callable[[list[str]], int]  # makes one call for each name, and returns the nanoseconds of all


def measure(num_entries: int, rounds: int) -> Sequence[Row]:
    """Time every subject on as many names as its cache holds."""
    names = _new_names(num_entries)
    asked = Random(0).sample(names, num_entries)  # not in the order in which they lie in memory
    floor = dict.fromkeys(names, 1)
    subjects: dict[Key, Callable[[], int]] = {
        ("", "empty loop"): partial(_time_empty, asked),
        ("", "dict.get"): lambda: _time_calls(floor.get, _fresh(asked)),
    }
    for shape in TARGETS:
        for subject, get, put in _subjects(num_entries):
            put(names)
            is_hit = shape == "hit"
            subjects[shape, subject] = partial(_time_hits, get, asked) if is_hit else partial(_time_sets, put, asked)
    best = least(subjects, num_entries, rounds)
    empty = best.pop(("", "empty loop"))
    base = best["", "dict.get"] - empty
    return [
        Row(shape, name, ns - empty, (ns - empty) / base, _target(shape, name)) for (shape, name), ns in best.items()
    ]


def _target(shape: str, name: str) -> float | None:
    return TARGETS[shape] if name.startswith("compiled") else None


def _new_names(num: int) -> list[str]:
    return [f"/v1/files/{next(_serial):020}" for _ in range(num)]


def _fresh(names: list[str]) -> list[str]:
    """Copies, as each request brings: the stored objects would know their hash, and equal themselves at a glance."""
    return ["".join((name[:3], name[3:])) for name in names]


def _time_hits(get: Timed, names: list[str]) -> int:
    return get(_fresh(names))


def _time_sets(put: Timed, names: list[str]) -> int:
    return put(_new_names(len(names)))


def _time_empty(names: list[str]) -> int:
    start = time.process_time_ns()
    for _ in names:
        pass
    return time.process_time_ns() - start


def _time_calls(call: Callable[[str], object], names: list[str]) -> int:
    start = time.process_time_ns()
    for name in names:
        call(name)
    return time.process_time_ns() - start


def _subjects(num_entries: int) -> Iterator[tuple[str, Timed, Timed]]:
    """Yield new, empty caches, each with how to ask it and how to put into it."""
    for which in IMPLEMENTATIONS:
        for policy in POLICIES:
            core = implementation("cache_core", which).CacheCore(num_entries * _SIZE_BYTES, policy)
            yield f"{which}, {policy}", partial(_time_core_gets, core), partial(_time_core_puts, core)
    cached = lru_cache(num_entries)(len)
    yield "functools.lru_cache", partial(_time_calls, cached), partial(_time_calls, cached)
    for name, make in _PEERS.items():
        if find_spec(name.partition(".")[0]) is not None:
            get, put = make(import_module(name.partition(".")[0]), num_entries)
            yield name, partial(_time_calls, get), partial(_time_stores, put)


def _time_core_gets(core: CacheCore[str, int], names: list[str]) -> int:
    get, now = core.get, _NOW_S
    start = time.process_time_ns()
    for name in names:
        get(name, now)
    elapsed = time.process_time_ns() - start
    assert get(names[0], now) == get(names[-1], now) == 1
    return elapsed


def _time_core_puts(core: CacheCore[str, int], names: list[str]) -> int:
    put, size, expires_at, now = core.put, _SIZE_BYTES, _EXPIRY_S, _NOW_S
    start = time.process_time_ns()
    for name in names:
        put(name, 1, size, expires_at, now)
    elapsed = time.process_time_ns() - start
    assert len(core) == len(names) and names[-1] in core
    return elapsed


def _time_stores(put: Callable[[str, int], object], names: list[str]) -> int:
    start = time.process_time_ns()
    for name in names:
        put(name, 1)
    return time.process_time_ns() - start


def _lru_dict(module: Any, num_entries: int) -> tuple[Any, Any]:
    cache = module.LRU(num_entries)
    return cache.get, cache.__setitem__


def _cachetools(module: Any, num_entries: int) -> tuple[Any, Any]:
    cache = module.LRUCache(num_entries * _SIZE_BYTES, getsizeof=lambda value: _SIZE_BYTES)
    return cache.get, cache.__setitem__


def _cachetools_ttl(module: Any, num_entries: int) -> tuple[Any, Any]:
    cache = module.TLRUCache(num_entries, ttu=lambda key, value, now: now + _EXPIRY_S)
    return cache.get, cache.__setitem__


def _theine(module: Any, num_entries: int) -> tuple[Any, Any]:
    cache = module.Cache(num_entries)
    return cache.get, cache.set


_PEERS: dict[str, Callable[[Any, int], tuple[Any, Any]]] = {
    "lru": _lru_dict,
    "cachetools.LRUCache": _cachetools,
    "cachetools.TLRUCache": _cachetools_ttl,
    "theine.Cache": _theine,
}

BENCHMARK = Benchmark("cost of one hit, and of one set that evicts", "entries", 10_000, measure)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
