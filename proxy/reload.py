"""Replaces the configuration while the gateway runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from .compile import build
from .config.problems import ConfigErrors
from .config.schema import Config
from .gateway import Gateway
from .observe.metrics import Registry
from .plugin_error import PluginError
from .plugin_types import PluginTypes
from .tasks import spawn

_log = logging.getLogger("headgate")
_RETIRE_POLL_S = 0.1


class ReloadError(Exception):
    """A configuration that was not taken: the old one is still in force."""


class Reloader:
    """Reads, checks, builds, swaps. `last_error` is what stands against the file as it is now, if anything."""

    def __init__(
        self, gateway: Gateway, read: Callable[[PluginTypes], Config], types: PluginTypes, registry: Registry
    ) -> None:
        self._gateway = gateway
        self._read = read
        self._types = types
        self._registry = registry
        self._lock = asyncio.Lock()
        self.last_error: str | None = None
        self.tell_others: Callable[[], None] | None = None  # of several workers
        self.retiring: asyncio.Task[None] | None = None  # closes what is old

    async def reload_all(self) -> int:
        """Reload here, logged, and then in every other worker. Raises: ReloadError; then in none."""
        version = await self._reload_told()
        if self.tell_others is not None:
            self.tell_others()
        return version

    async def reload(self) -> int:
        """Put the file's present content in force; return the new version. Raises: ReloadError."""
        async with self._lock:
            try:
                config = await asyncio.to_thread(self._read, self._types)
                self._check_fixed(config)
                snapshot = build(config, self._types, self._registry, self._gateway.snapshot)
            except (ConfigErrors, PluginError, OSError, ReloadError) as error:
                self.last_error = str(error)
                raise ReloadError(str(error)) from error
            self._gateway.replace(snapshot)
            snapshot.start(asyncio.get_running_loop())
            self.last_error = None
            self._gateway.observer.reloaded(snapshot.version)
            if self.retiring is None or self.retiring.done():
                self.retiring = spawn(self._retire(), "retire snapshots")
            return snapshot.version

    async def reload_logged(self) -> None:
        """Reload, and say in the log how it went: there is nobody else to tell."""
        with suppress(ReloadError):
            await self._reload_told()

    async def _reload_told(self) -> int:
        try:
            version = await self.reload()
        except ReloadError as error:
            _log.error("kept version %d, the new configuration is refused:\n%s", self._gateway.snapshot.version, error)
            raise
        _log.info("reloaded: version %d is in force", version)
        return version

    def _check_fixed(self, config: Config) -> None:
        now = self._gateway.snapshot.config
        fixed = ("listeners", "admin", "access_log")
        changed = [name for name in fixed if getattr(config, name) != getattr(now, name)]
        if changed:
            raise ReloadError(f"{', '.join(changed)}: fixed while the gateway runs, restart it to change them")

    async def _retire(self) -> None:
        """Close what only old snapshots used, each once its last exchange has ended, and that of every one before it.

        What an older one used, and the next one went on with, is still in use by the exchanges of the older one.
        """
        older = self._gateway.older  # emptied by the gateway itself where that closes first
        while older:
            if older[0].num_exchanges:  # to wait for an event would cost every exchange; a reload is rare
                await asyncio.sleep(_RETIRE_POLL_S)
            else:
                self._gateway.close_oldest()
