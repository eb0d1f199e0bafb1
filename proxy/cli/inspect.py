"""`headgate check`, `explain` and `routes`: look at a configuration without running it.

What a command needs is imported when it runs, as in `serve`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .usage_error import UsageError


def add_commands(commands: Any) -> None:
    """Add the three commands."""
    checked = commands.add_parser("check", help="check a file; exit 2 and list every problem where there are any")
    checked.add_argument("config", metavar="CONFIG", type=Path)
    checked.add_argument("--strict", action="store_true", help="exit 2 where there are warnings, too")
    checked.set_defaults(run=run_check)
    explained = commands.add_parser("explain", help="tell what would happen to a request, and how long it may take")
    explained.add_argument("config", metavar="CONFIG", type=Path)
    explained.add_argument("--method", default="GET", help="default %(default)s")
    explained.add_argument("--path", default="/", help="raw path, without the query (default %(default)s)")
    explained.add_argument("--host", default="localhost", help="default %(default)s")
    explained.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="may be repeated")
    explained.add_argument("--model", help="the body's `model`")
    explained.set_defaults(run=run_explain)
    routes = commands.add_parser("routes", help="list the routes in the order in which they are asked")
    routes.add_argument("config", metavar="CONFIG", type=Path)
    routes.set_defaults(run=run_routes)


def run_check(options: argparse.Namespace) -> int:
    """Check a file; warnings refuse it only where `--strict` says so."""
    from ..compile import try_plugins
    from ..config.explain_policy import counted
    from ..config.load import check
    from ..plugin_types import PluginTypes

    types = PluginTypes()
    found = check(options.config, types.schemas())
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    try_plugins(found.config, types)
    is_refused = options.strict and bool(found.warnings)
    counts = {"route": len(found.config.routes), "cluster": len(found.config.clusters)}
    counts |= {"warning": len(found.warnings)} if found.warnings else {}
    told = ", ".join(counted(number, what) for what, number in counts.items())
    print(f"{options.config}: {'refused' if is_refused else 'ok'}, {told}")
    return 2 if is_refused else 0


def run_explain(options: argparse.Namespace) -> int:
    """Tell what would happen to a request; exit 1 where no route takes it."""
    from ..config.explain import explain, render
    from ..config.header_edits import is_token
    from ..config.load import load
    from ..plugin_types import PluginTypes

    if not is_token(options.method):
        raise UsageError(f"expected --method to be a token such as `GET`, got {options.method!r}")
    headers: dict[str, str] = {"host": options.host}
    for text in options.header:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            print(f"headgate: expected --header NAME:VALUE, got {text!r}", file=sys.stderr)
            return 2
        headers[name.strip().lower()] = value.strip()
    config = load(options.config, PluginTypes().schemas())
    explanation = explain(config, options.method, options.path, headers, options.model)
    print(render(explanation))
    return 0 if explanation.route is not None else 1


def run_routes(options: argparse.Namespace) -> int:
    """List the routes."""
    from ..config.explain import render_routes
    from ..config.load import load
    from ..plugin_types import PluginTypes

    print(render_routes(load(options.config, PluginTypes().schemas())))
    return 0
