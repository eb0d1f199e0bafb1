"""Each target notices a part that reads otherwise: its inputs, run on a twin with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from headgate.ext import implementation

from .draws import Draws, bytewise, halves, sized, strewn
from .engine import TARGETS, kept, read, target


def after(function: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function whose result is changed."""
    return lambda *arguments, **options: change(function(*arguments, **options))


def overridden(kind: Any, name: str, change: Callable[[Any], Any]) -> Any:
    """Return a class in which a method's result is changed."""
    return type(kind.__name__, (kind,), {name: after(getattr(kind, name), change)})


http1, head_scan, sse = (implementation(name, "twin") for name in ("http1", "head_scan", "sse"))
route_table, cache_core, limiter_cells = (
    implementation(name, "twin") for name in ("route_table", "cache_core", "limiter_cells")
)
lane = implementation("lane", "compiled")  # its specification is the reference path


def losing(door: Any, *rest: Any) -> Any:
    """Return a connection that loses the last byte of what it hands over."""
    return lane.Downstream(
        SimpleNamespace(
            opened=door.opened,
            begin=door.begin,
            max_body_bytes=door.max_body_bytes,
            hand_over=lambda connection, data: door.hand_over(connection, data[:-1]),
        ),
        *rest,
    )


def with_few_fields(answer: Any) -> Any:
    """Return an answer without its first field."""
    names = ("status", "reason", "length", "is_keep_alive", "is_event_stream", "media_type", "numerics", "size")
    return answer and SimpleNamespace(raw=answer.raw[1:], **{name: getattr(answer, name) for name in names})


CHANGED: dict[str, tuple[Any, str, Any]] = {
    "http1_request": (
        *(http1, "parse_request_head"),
        after(http1.parse_request_head, lambda head: replace(head, is_keep_alive=True)),
    ),
    "http1_response": (
        *(http1, "parse_response_head"),
        after(http1.parse_response_head, lambda head: replace(head, reason=head.reason.lower())),
    ),
    "http1_chunked": (
        *(http1, "ChunkScanner"),
        overridden(http1.ChunkScanner, "decode", lambda found: (found[0].removesuffix(b"\n"), found[1])),
    ),
    "http1_writer": (
        *(http1, "write_request_head"),
        after(http1.write_request_head, lambda written: written._replace(is_keep_alive=True)),
    ),
    "head_scan": (
        *(head_scan, "scan_head"),
        after(head_scan.scan_head, lambda found: found and replace(found, is_usage_wanted=False)),
    ),
    "sse": (sse, "EventScanner", overridden(sse.EventScanner, "finish", lambda found: [])),
    "route_table": (
        *(route_table, "RouteTable"),
        overridden(route_table.RouteTable, "match", lambda match: match and replace(match, params={})),
    ),
    "cache_core": (cache_core, "CacheCore", overridden(cache_core.CacheCore, "delete", lambda is_there: True)),
    "limiter_cells": (
        *(limiter_cells, "LimiterCells"),
        overridden(limiter_cells.LimiterCells, "__len__", lambda number: min(number, 11)),
    ),
    "lane_request": (lane, "Downstream", losing),
    "lane_answer": (lane, "read_answer", after(lane.read_answer, with_few_fields)),
}


def test_every_target_is_tried() -> None:
    assert set(CHANGED) == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_notices_what_its_part_reads_otherwise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    twin, changed, other = CHANGED[name]
    module, inputs = target(name), [path.read_bytes() for path in kept(name)]
    monkeypatch.setattr(module, "COMPILED", SimpleNamespace(**vars(twin)))
    for data in inputs[:20]:
        module.check(data)
    monkeypatch.setattr(module, "COMPILED", SimpleNamespace(**vars(twin) | {changed: other}))
    assert any(is_noticed(module.check, data) for data in inputs)


def is_noticed(check: Callable[[bytes], None], data: bytes) -> bool:
    try:
        check(data)
    except AssertionError:
        return True
    return False


def test_draws_take_values_off_the_front_until_nothing_is_left() -> None:
    draws = Draws(b"\x02\x01\x00" + sized(b"text") + b"\x02\x03\x01abcdef")
    assert (draws.pick("abc"), draws.number(2), draws.text()) == ("c", 1, b"text")
    assert draws.pieces() == [b"abc", b"d", b"ef"]
    assert draws.is_empty
    assert (draws.number(), draws.text(), draws.pieces()) == (0, b"", [b""])


@pytest.mark.parametrize("size", [0, 1, 2, 199, 200, 201, 5000])
def test_cuts_lose_nothing(size: int) -> None:
    data = bytes(place % 251 for place in range(size))
    cuts = [bytewise(data), strewn(data), *halves(data)]
    assert all(b"".join(pieces) == data for pieces in cuts)
    assert len(strewn(data)) <= 200
    assert len(halves(data)) <= 13


def test_what_the_engine_says_is_read() -> None:
    log = (
        "INFO: Loaded 2 modules   (2476 inline 8-bit counters): 23 [0x1, 0x2), 2453 [0x3, 0x4),\n"
        "#2\tINITED cov: 25 ft: 26 corp: 1/1b exec/s: 0 rss: 71Mb\n"
        "#900\tDONE   cov: 416 ft: 1732 corp: 225/28Kb lim: 689 exec/s: 295 rss: 467Mb\n"
        "artifact_prefix='x/'; Test unit written to x/crash-1\n"
        "stat::number_of_executed_units: 900\nstat::peak_rss_mb:              208\n"
    )
    run = read("sse", log)
    assert (run.num_executions, run.num_edges, run.num_features, run.num_inputs) == (900, 416, 1732, 225)
    assert (run.all_edges, run.peak_mb, str(run.finding)) == (2476, 208, "x/crash-1")
    assert "FOUND x/crash-1" in str(run)
    assert read("sse", "").finding is None
