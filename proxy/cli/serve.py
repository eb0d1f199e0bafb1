"""`headgate serve` and `headgate proxy`: run the gateway."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from ..compile import build
from ..config.load import load
from ..config.schema import Config
from ..gateway import Gateway
from ..observe.access_log import AccessLog
from ..observe.metrics import Registry
from ..observe.observer import Observer
from ..plugin_types import PluginTypes
from ..reload import Reloader
from ..server import Server

Commands = Any  # argparse's own type for this is private


def add_commands(commands: Commands) -> None:
    """Add `serve` and `proxy`."""
    serve = commands.add_parser("serve", help="run the gateway that a file describes")
    serve.add_argument("config", metavar="CONFIG", type=Path, help="configuration file (YAML)")
    serve.set_defaults(run=run_serve)
    proxy = commands.add_parser(
        "proxy", help="stand in front of one HTTP service, without a file", description=run_proxy.__doc__
    )
    proxy.add_argument("url", metavar="URL", help="the service, for example http://127.0.0.1:8000")
    proxy.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:8080", help="default %(default)s")
    proxy.add_argument("--deadline", default="1h", help="time for a whole exchange (default %(default)s)")
    proxy.add_argument(
        "--host", choices=("endpoint", "client"), default="client", help="Host sent on (default %(default)s)"
    )
    proxy.add_argument(
        "--access-log", metavar="WHERE", default="off", help="`off`, `-` or a file (default %(default)s)"
    )
    proxy.set_defaults(run=run_proxy)


def run_serve(options: argparse.Namespace) -> int:
    """Run the gateway that a file describes. SIGHUP reloads the file, SIGTERM drains."""

    def read(types: PluginTypes) -> Config:
        return load(options.config, types.schemas())

    return run_gateway(read, is_reloadable=True)


def run_proxy(options: argparse.Namespace) -> int:
    """Stand in front of one HTTP service: every request is passed on, nobody has to authenticate."""
    text = json.dumps(
        {
            "listeners": [{"address": options.listen}],
            "clusters": {"service": {"endpoints": [options.url], "preserve_host": options.host == "client"}},
            "routes": [
                {
                    "name": "all",
                    "match": {"path": "/{*rest}"},
                    "targets": ["service"],
                    "body_limit": 0,
                    "deadline": options.deadline,
                }
            ],
            "access_log": options.access_log,
        }
    )

    def read(types: PluginTypes) -> Config:
        return load(text, {})

    return run_gateway(read, is_reloadable=False)


def run_gateway(read: Callable[[PluginTypes], Config], *, is_reloadable: bool) -> int:
    """Run until a signal; return the exit code. Raises: ConfigErrors, PluginError, BindError, OSError."""
    types = PluginTypes()
    config = read(types)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(read if is_reloadable else None, config, types))
    return 0


async def _run(read: Callable[[PluginTypes], Config] | None, config: Config, types: PluginTypes) -> None:
    registry = Registry()
    observer = Observer(registry, AccessLog(str(config.access_log)))
    gateway = Gateway(build(config, types, registry), observer)
    server = Server(gateway, Reloader(gateway, read, types, registry) if read is not None else None)
    await server.start(config)
    for listener, address in zip(config.listeners, server.addresses, strict=True):
        print(f"listening on {'https' if listener.tls else 'http'}://{address}", flush=True)
    if server.admin_address is not None:
        print(f"admin on http://{server.admin_address}", flush=True)
    await server.run()
