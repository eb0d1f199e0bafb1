"""Arguments of `headgate`, and what runs for each command.

Exit codes: 0 done, 1 failed while running, 2 wrong arguments or configuration.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ..config.problems import ConfigErrors
from ..plugin_error import PluginError
from . import demo, faults, inspect, keys, plugins, serve
from .usage_error import UsageError

_EPILOG = "docs: docs/configuration.md, docs/request-path.md, docs/writing-a-plugin.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        return int(options.run(options))
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    except (PluginError, UsageError) as error:
        print(f"headgate: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"headgate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headgate",
        description="Reverse proxy and AI gateway: several model services behind one endpoint.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"headgate {version('headgate')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (serve, inspect, plugins, keys, faults, demo):
        module.add_commands(commands)
    return parser
