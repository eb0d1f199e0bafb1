"""Block sizes and warps by kernel and shape bucket, as a sweep on a GPU found them best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

TABLES = Path(__file__).with_name("tables")

Config = Mapping[str, int]


def pick(kernel: str, bucket: str, default: Config) -> Config:
    """Return the configuration of a bucket: the one measured best, or `default` where none was measured.

    The tables are `tables/<kernel>.json`: who made them, when, on which device with which Triton, and the buckets.
    """
    measured = _table(kernel).get(bucket)
    return default if measured is None else {**default, **measured}


@cache
def _table(kernel: str) -> Mapping[str, Config]:
    path = TABLES / f"{kernel}.json"
    if not path.is_file():
        return {}
    buckets: Mapping[str, Config] = json.loads(path.read_text())["buckets"]
    return buckets


def power_of_two(value: int) -> int:
    """Return the smallest power of two that is not below `value`: what buckets and blocks are counted in."""
    return 1 << max(0, value - 1).bit_length()
