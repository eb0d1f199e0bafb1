"""Runs a gateway in this process until a signal."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path

import uvloop

from . import ebb
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
from .workers.inherited import Inherited
from .workers.parent import Parent

_PUBLISH_S = 1.0  # how old the gauges of another worker may be


Read = Callable[[PluginTypes], Config]


def run_gateway(read: Read, *, is_reloadable: bool, inherited: Inherited | None = None) -> None:
    """Serve the configuration that `read` gives, as a worker with what it has `inherited`, or alone.

    Raises: ConfigErrors, PluginError, OSError.
    """
    types = PluginTypes(inherited.counting if inherited is not None else None)
    config = read(types)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(read if is_reloadable else None, config, types, inherited))


def run_workers(path: Path, read: Read, num_workers: int) -> int:
    """Serve the file at `path`, which `read` reads, by several processes; return the exit code.

    Raises: ConfigErrors, OSError.
    """
    parent = Parent(path, read(PluginTypes()), num_workers)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(parent.run())


async def _run(read: Read | None, config: Config, types: PluginTypes, inherited: Inherited | None) -> None:
    registry = Registry(inherited.shared() if inherited is not None else None)
    observer = Observer(registry, AccessLog(str(config.access_log)))
    gateway = Gateway(build(config, types, registry), observer)
    register_gauges(registry, lambda: gateway.snapshot.clusters, asyncio.get_running_loop().time)
    reloader = Reloader(gateway, read, types, registry) if read is not None else None
    server = Server(gateway, reloader, types.counting, inherited)
    try:
        await server.start(config)
    except BaseException:  # it never serves, so that nothing drains it
        await gateway.close()
        raise
    gateway.snapshot.start(asyncio.get_running_loop())
    if inherited is None:
        _announce(server, config)
    else:
        _join(inherited, server, reloader, registry)
    _settle_garbage()
    ebb.watch(asyncio.get_running_loop(), lambda: observer.num_inflight)
    await server.run()


def _join(inherited: Inherited, server: Server, reloader: Reloader | None, registry: Registry) -> None:
    """Serve as one of the workers: for as long as there is a parent."""
    loop = asyncio.get_running_loop()
    if reloader is not None:
        reloader.tell_others = inherited.reloaded
    inherited.watch(loop, server.stop)

    def publish() -> None:
        registry.publish()
        loop.call_later(_PUBLISH_S, publish)

    publish()
    inherited.ready()


def _announce(server: Server, config: Config) -> None:
    for listener, address in zip(config.listeners, server.addresses, strict=True):
        print(f"listening on {'https' if listener.tls else 'http'}://{address}", flush=True)
    if server.admin_address is not None:
        print(f"admin on http://{server.admin_address}", flush=True)


def _settle_garbage() -> None:
    """Begin to collect: without what is loaded, and less often than by default, as exchanges leave few circles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
