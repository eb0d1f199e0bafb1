"""The twin and the compiled one of each part of `ext`: what is asked of one is asked of both."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

import pytest

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.cache_core import CacheCore
from headgate.ext.head_scan import BodyScan
from headgate.ext.json_line import LineFormat
from headgate.ext.limiter_cells import LimiterCells
from headgate.ext.line_sink import LineSink
from headgate.ext.route_table import RouteTable
from headgate.ext.slots import SlotTable
from headgate.ext.sse import Event, EventScanner, StreamState
from headgate.ext.tally import Tally


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def table_type(request: pytest.FixtureRequest) -> type[RouteTable]:
    """The class under test. A compiled one that was not built is an error, never a skip."""
    return cast(type[RouteTable], implementation("route_table", request.param).RouteTable)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def normalize_path(request: pytest.FixtureRequest) -> Callable[[str], str | None]:
    return cast(Callable[[str], str | None], implementation("route_table", request.param).normalize_path)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def cells_type(request: pytest.FixtureRequest) -> type[LimiterCells]:
    return cast(type[LimiterCells], implementation("limiter_cells", request.param).LimiterCells)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def slots_type(request: pytest.FixtureRequest) -> type[SlotTable]:
    return cast(type[SlotTable], implementation("slots", request.param).SlotTable)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def core_type(request: pytest.FixtureRequest) -> type[CacheCore[Any, Any]]:
    return cast(type[CacheCore[Any, Any]], implementation("cache_core", request.param).CacheCore)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def head_scan_module(request: pytest.FixtureRequest) -> ModuleType:
    """The module behind `headgate.ext.head_scan` that is under test."""
    return implementation("head_scan", request.param)


@pytest.fixture(scope="session")
def scan_head(head_scan_module: ModuleType) -> Callable[[bytes], BodyScan | None]:
    return cast(Callable[[bytes], BodyScan | None], head_scan_module.scan_head)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def sse_module(request: pytest.FixtureRequest) -> ModuleType:
    """The module behind `headgate.ext.sse` that is under test; the three types below are its own."""
    return implementation("sse", request.param)


@pytest.fixture(scope="session")
def event_type(sse_module: ModuleType) -> type[Event]:
    return cast(type[Event], sse_module.Event)


@pytest.fixture(scope="session")
def scanner_type(sse_module: ModuleType) -> type[EventScanner]:
    return cast(type[EventScanner], sse_module.EventScanner)


@pytest.fixture(scope="session")
def state_type(sse_module: ModuleType) -> type[StreamState]:
    return cast(type[StreamState], sse_module.StreamState)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def http1(request: pytest.FixtureRequest) -> ModuleType:
    """The module behind `headgate.ext.http1` that is under test."""
    return implementation("http1", request.param)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def line_format_type(request: pytest.FixtureRequest) -> type[LineFormat]:
    return cast(type[LineFormat], implementation("json_line", request.param).LineFormat)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def tally_type(request: pytest.FixtureRequest) -> type[Tally]:
    return cast(type[Tally], implementation("tally", request.param).Tally)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def sink_type(request: pytest.FixtureRequest) -> type[LineSink]:
    return cast(type[LineSink], implementation("line_sink", request.param).LineSink)


@pytest.fixture(scope="session")
def read_usage(head_scan_module: ModuleType) -> Callable[[bytes], tuple[int | None, int | None]]:
    return cast(Callable[[bytes], tuple[int | None, int | None]], head_scan_module.read_usage)
