"""`headgate serve` and `headgate proxy`: run the gateway.

What a command needs is imported when it runs: `--help` and the small commands answer at once.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.problems import ConfigErrors, ConfigProblem
from .usage_error import UsageError

if TYPE_CHECKING:
    from ..config.load import Checked
    from ..config.schema import Config
    from ..plugin_types import PluginTypes

_MAX_TOLD = 100
MAX_WORKERS = 64
_log = logging.getLogger("headgate")
Commands = Any  # argparse's own type for this is private
# Where the arguments of `proxy` go in the configuration that is made of them.
_ARGUMENTS = {
    "listeners[0].address": "--listen",
    "clusters.service.endpoints[0]": "URL",
    "routes[0].deadline": "--deadline",
    "access_log": "--access-log",
}


def add_commands(commands: Commands) -> None:
    """Add `serve` and `proxy`."""
    serve = commands.add_parser("serve", help="run the gateway that a file describes")
    serve.add_argument("config", metavar="CONFIG", type=Path, help="configuration file (YAML)")
    serve.add_argument(
        "--workers",
        metavar="N",
        type=_workers,
        default=1,
        help="processes, or `auto`: one a core (default %(default)s)",
    )
    serve.add_argument("--worker", type=int, default=None, help=argparse.SUPPRESS)  # the channel to a parent
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
    gc.disable()  # what is loaded now stays; collecting begins once the gateway serves
    from ...ext.limiter_cells import LimiterCells
    from ..config.load import check
    from ..run import run_gateway, run_workers
    from ..workers.inherited import Inherited

    inherited = Inherited(options.worker) if options.worker is not None else None

    def read(types: PluginTypes) -> Config:
        checked = check(options.config, types.schemas())
        return _warned(checked) if inherited is None or inherited.is_to_tell() else checked.config

    if options.workers > 1:
        if not LimiterCells.is_shareable:
            raise UsageError("--workers: limits are counted in compiled parts, which are not built or switched off")
        return run_workers(options.config, read, options.workers)
    run_gateway(read, is_reloadable=True, inherited=inherited)
    return 0


def _workers(text: str) -> int:
    """Read a number of workers."""
    if text == "auto":
        return min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"expected `auto`, or a number from 1 to {MAX_WORKERS}, got {text!r}")
    return int(text)


def _warned(checked: Checked) -> Config:
    """Say in the log what is doubtful about a configuration, as far as anybody would read it; return it."""
    for warning in checked.warnings[:_MAX_TOLD]:
        _log.warning("%s", warning)
    if len(checked.warnings) > _MAX_TOLD:
        _log.warning("and %d more, `headgate check` lists them", len(checked.warnings) - _MAX_TOLD)
    return checked.config


def run_proxy(options: argparse.Namespace) -> int:
    """Stand in front of one HTTP service: every request is passed on, nobody has to authenticate."""
    gc.disable()  # what is loaded now stays; collecting begins once the gateway serves
    from ..config.load import load
    from ..run import run_gateway

    service = {
        "endpoints": [options.url],
        "preserve_host": options.host == "client",
        # Every request is passed on, also to a service that fails: there is nowhere else to go.
        "retry_budget": {"floor": 1_000_000},
    }
    text = json.dumps(
        {
            "listeners": [{"address": options.listen}],
            "clusters": {"service": service},
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
        try:
            return load(text, {})
        except ConfigErrors as errors:
            raise UsageError("; ".join(map(_of_argument, errors.problems))) from None

    run_gateway(read, is_reloadable=False)
    return 0


def _of_argument(problem: ConfigProblem) -> str:
    """Say what is wrong with an argument, not with the file that was made of it."""
    name = next((name for path, name in _ARGUMENTS.items() if problem.path.startswith(path)), problem.path)
    return f"{name}: {problem.message}"
