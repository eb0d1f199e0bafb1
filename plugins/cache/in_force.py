"""Steps that are for when a configuration is in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class InForce:
    """What an instance does that the one before it would notice, too: never, where the configuration is refused."""

    __slots__ = ("_is_closed",)

    def __init__(self) -> None:
        self._is_closed = False

    def once(self, step: Callable[[], None]) -> None:
        """Take a step when the loop goes on: by then nobody can refuse the configuration any more."""
        try:
            asyncio.get_running_loop().call_soon(lambda: None if self._is_closed else step())
        except RuntimeError:  # nobody serves yet
            step()

    def close(self) -> None:
        """The instance has ended with the gateway, or with a configuration that was replaced or refused."""
        self._is_closed = True
