"""Runs a gateway in this process until a signal."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import uvloop

from .compile import build
from .config.schema import Config
from .gateway import Gateway
from .observe.access_log import AccessLog
from .observe.metrics import Registry
from .observe.observer import Observer
from .plugin_types import PluginTypes
from .reload import Reloader
from .server import Server
from .upstream.gauges import register_gauges


def run_gateway(read: Callable[[PluginTypes], Config], *, is_reloadable: bool) -> None:
    """Serve the configuration that `read` gives. Raises: ConfigErrors, PluginError, OSError."""
    types = PluginTypes()
    config = read(types)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(read if is_reloadable else None, config, types))


async def _run(read: Callable[[PluginTypes], Config] | None, config: Config, types: PluginTypes) -> None:
    registry = Registry()
    observer = Observer(registry, AccessLog(str(config.access_log)))
    gateway = Gateway(build(config, types, registry), observer)
    register_gauges(registry, lambda: gateway.snapshot.clusters, asyncio.get_running_loop().time)
    server = Server(gateway, Reloader(gateway, read, types, registry) if read is not None else None)
    await server.start(config)
    gateway.snapshot.start(asyncio.get_running_loop())
    for listener, address in zip(config.listeners, server.addresses, strict=True):
        print(f"listening on {'https' if listener.tls else 'http'}://{address}", flush=True)
    if server.admin_address is not None:
        print(f"admin on http://{server.admin_address}", flush=True)
    _settle_garbage()
    await server.run()


def _settle_garbage() -> None:
    """Begin to collect: without what is loaded, and less often than by default, as exchanges leave few circles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
