"""`headgate fault-upstream`: an upstream that misbehaves on command, to see what a gateway makes of it.

What the command needs is imported when it runs, as in `serve`.
"""

from __future__ import annotations

import argparse
from typing import Any

from .usage_error import UsageError


def add_commands(commands: Any) -> None:
    """Add `fault-upstream`."""
    parser = commands.add_parser(
        "fault-upstream", help="start an upstream that misbehaves on command", description=run_faults.__doc__
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:9009", help="port 0 takes a free one (default %(default)s)"
    )
    parser.add_argument(
        "--fault", metavar="SPEC", action="append", default=[], help="may be repeated: one after another"
    )
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument("--name", help="name of its model (default fault-upstream)")
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--text", help="what it answers, one word a token")
    text.add_argument("--tokens", metavar="N", type=int, help="answer so many numbered words")
    parser.add_argument("--delay", metavar="DURATION", help="time to the first token (default 0s)")
    parser.add_argument("--pace", metavar="DURATION", help="time between tokens (default 0s)")
    parser.add_argument("--hold", metavar="DURATION", help="longest time to wait for a peer to leave (default 10m)")
    parser.set_defaults(run=run_faults)


def run_faults(options: argparse.Namespace) -> int:
    """Start an OpenAI-compatible upstream that misbehaves as it is told: here, over HTTP, or by a request's x-fault."""
    from ..config.addresses import parse_address
    from ..faults.catalogue import listing
    from ..faults.server import run_faults as run
    from ..faults.settings import NAMES, Settings, SettingsError, changed
    from ..faults.spec import SpecError, parse

    if options.list:
        print(listing())
        return 0
    given = {name: value for name in NAMES if (value := getattr(options, name)) is not None}
    try:
        address = parse_address(options.listen)
    except ValueError as error:
        raise UsageError(f"--listen: {error}") from None
    try:
        specs = [parse(text) for text in options.fault]
        run(address, changed(Settings(), given), specs, _ready)
    except SettingsError as error:
        raise UsageError(f"--{error}") from None
    except SpecError as error:
        raise UsageError(f"--fault: {error}") from None
    return 0


def _ready(address: str) -> None:
    print(f"fault-upstream on http://{address}", flush=True)
