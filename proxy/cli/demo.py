"""`headgate demo`: hand over to the demo, which is a program of its own."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any


def add_commands(commands: Any) -> None:
    """Add `demo`."""
    demo = commands.add_parser("demo", help="start a gateway with two small models behind it, to try")
    demo.add_argument(
        "--port", type=int, default=8080, help="port of the gateway; 0 takes free ports (default %(default)s)"
    )
    demo.set_defaults(run=run_demo)


def run_demo(options: argparse.Namespace) -> int:
    """Replace this process by the demo: it starts every part as a process, and is imported by none."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "headgate.demo", "--port", str(options.port)])
