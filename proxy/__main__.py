"""`headgate` and `python -m headgate.proxy`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; return its exit code."""
    open_standard_streams()
    from .cli.main import main as run_command

    return run_command()


def open_standard_streams() -> None:
    """Open what the caller closed of standard input, output and error, on nothing.

    Otherwise the next socket or file would take its number, and whatever is printed would go there.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # It takes the lowest free number, and those below are open by now.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
