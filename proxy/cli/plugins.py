"""`headgate plugins`: list the installed plugins, pin one, begin a new one, measure what those of a configuration cost.

What a command needs is imported when it runs, as in `serve`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..plugin_error import MissingExtra, PluginError
from . import plugin_prices
from .scaffold import KINDS
from .scaffold.package import files_of, names_of, write
from .usage_error import UsageError


def add_commands(commands: Any) -> None:
    """Add `plugins` with its actions; without one it lists."""
    plugins = commands.add_parser(
        "plugins", help="list the installed plugins, pin one, begin a new one, or measure some"
    )
    plugins.set_defaults(run=run_list, config=None)
    actions = plugins.add_subparsers(title="actions", metavar="ACTION")
    listed = actions.add_parser("list", help="list the plugins: name, distribution, version, stages, where it is used")
    listed.add_argument("config", metavar="CONFIG", type=Path, nargs="?", help="tell what this file uses, too")
    listed.set_defaults(run=run_list)
    pin = actions.add_parser("pin", help="print the guard that pins a plugin to what is installed; nothing is imported")
    pin.add_argument("name", metavar="NAME", help="name of the installed plugin, as `plugins list` tells it")
    pin.add_argument("--files", action="store_true", help="print the files and their digests, as sha256sum does")
    pin.set_defaults(run=run_pin)
    new = actions.add_parser("new", help="write the package of a new plugin: it installs, and passes its tests")
    new.add_argument("name", metavar="NAME", help="name of the package, for example headgate-plugin-mine")
    new.add_argument("--kind", choices=tuple(KINDS), default="response", help="what it does (default %(default)s)")
    new.add_argument(
        "--into", metavar="FOLDER", type=Path, default=Path(), help="where its folder goes (default: here)"
    )
    new.set_defaults(run=run_new)
    plugin_prices.add_action(actions)


def run_list(options: argparse.Namespace) -> int:
    """List the installed plugins; exit 1 where one of them cannot be used, but for one whose extra is not there."""
    from ..plugin_types import PluginTypes

    types = PluginTypes()
    uses = _uses(options.config, types) if options.config is not None else None
    code = 0
    rows: list[tuple[str, ...]] = []
    for name in types.names:
        try:
            kind = types.get(name)
        except PluginError as error:
            if isinstance(error.__cause__, MissingExtra):
                rows.append((name, types.origin(name), f"not installed: {error.__cause__.remedy}"))
                continue
            print(error, file=sys.stderr)
            code = 1
            continue
        row = name, types.origin(name), ", ".join(sorted(kind.stages)) or "-"
        rows.append(row if uses is None else (*row, "; ".join(uses.get(name, ())) or "not used"))
    for line in _aligned(rows):
        print(line)
    return code


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each row. The last column of a row takes no room from the others."""
    widths: dict[int, int] = {}
    for row in rows:
        for place, text in enumerate(row[:-1]):
            widths[place] = max(widths.get(place, 0), len(text))
    for row in rows:
        yield "   ".join([text.ljust(widths[place]) for place, text in enumerate(row[:-1])] + [row[-1]])


def run_pin(options: argparse.Namespace) -> int:
    """Print what a plugin is pinned to by a guard of its name, or what the digest there is made of."""
    from ..config.wording import did_you_mean
    from ..plugin_types import PluginTypes

    types = PluginTypes()
    if options.name not in types.names:
        raise UsageError(f"unknown plugin `{options.name}`{did_you_mean(options.name, types.names)}")
    content = types.pins.content(options.name)
    if options.files:
        sys.stdout.write(content.listing)
        return 0
    print(f'guards:\n  {options.name}:\n    version: "{content.version}"\n    sha256: {content.digest}')
    return 0


def _uses(path: Path, types: Any) -> dict[str, list[str]]:
    """Return by plugin the names under which a file configures it, each with the routes that it serves."""
    from ..config.load import load

    config = load(path, types.schemas())
    uses: dict[str, list[str]] = {}
    for name, plugin in config.plugins.items():
        listed = [
            route.name for route in config.routes if any(name in each for each in config.plugins_of(route).values())
        ]
        uses.setdefault(plugin.use, []).append(f"{name}: {', '.join(listed) or 'no route'}")
    return uses


def run_new(options: argparse.Namespace) -> int:
    """Write a new package; say what to do with it."""
    from ..hooks import discover

    kind = KINDS[options.kind]
    names = names_of(options.name, kind, discover())
    folder = options.into / names.distribution
    files = files_of(names, kind)
    write(folder, files)
    for path in files:
        print(folder / path)
    print(f"next: cd {folder} && pip install -e '.[test]' && pytest")
    return 0
