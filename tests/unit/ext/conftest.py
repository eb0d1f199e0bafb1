"""Runs each test on the twin and on the compiled one."""

from __future__ import annotations

from ...implementations import (
    cells_type,
    core_type,
    event_type,
    head_scan_module,
    http1,
    line_format_type,
    normalize_path,
    read_usage,
    scan_head,
    scanner_type,
    sink_type,
    slots_type,
    sse_module,
    state_type,
    table_type,
    tally_type,
)

__all__ = [
    "cells_type",
    "core_type",
    "event_type",
    "head_scan_module",
    "http1",
    "line_format_type",
    "normalize_path",
    "read_usage",
    "scan_head",
    "scanner_type",
    "sink_type",
    "slots_type",
    "sse_module",
    "state_type",
    "table_type",
    "tally_type",
]
