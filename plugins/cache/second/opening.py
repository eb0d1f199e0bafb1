"""Makes a second level, or goes on with that of the configuration before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..config import CacheConfig
from .level import Bounds, Second
from .names import Names


def open_second(
    config: CacheConfig,
    previous: CacheConfig | None,
    known: Second | None,
    wall: Callable[[], float],
    told: Callable[[str, str], None],
) -> Second:
    """Return the second level of a configuration: `known`, that of the `previous` one, where both mean the same."""
    assert config.second is not None
    if previous is not None and known is not None and _meaning(previous) == _meaning(config):
        known.share()
        return known
    names = Names(config.second.prefix, (config.share, *config.normalise))
    second = Second(config.second, names, bounds_of(config), wall, told)
    if known is not None:
        second.inherit(known)
    return second


def bounds_of(config: CacheConfig) -> Bounds:
    """Return what a configuration says of the sizes in its second level."""
    assert config.second is not None
    return Bounds(min(config.second.max_entry, config.max_entry_bytes), config.max_variants)


def is_serving() -> bool:
    """Whether there is a loop to listen in; there is none where a configuration is only checked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _meaning(config: CacheConfig) -> tuple[object, ...]:
    return config.second, config.share, frozenset(config.normalise)
