"""Settings that change while it serves."""

from __future__ import annotations

import asyncio

import pytest

from headgate.proxy.hookspecs import Setup

from ....virtual_clock import run
from .stand import Stand


@pytest.mark.parametrize(("is_refused", "max_bytes"), [(True, 1 << 20), (False, 65536)])
def test_new_settings_count_once_they_are_in_force(is_refused: bool, max_bytes: int) -> None:
    async def main() -> None:
        old, new = Stand(max_bytes=1 << 20), Stand(max_bytes=65536)
        new.cache.headgate_configure(Setup("completion_cache", old.cache, {}))
        if is_refused:
            new.cache.close()  # in the same turn, as where a plugin behind it is refused
        await asyncio.sleep(0)
        assert old.cache.shelf.memory.max_bytes == max_bytes

    run(main())
