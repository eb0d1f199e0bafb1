"""`headgate keys`: make API keys, and the digests under which they are known."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..config.scope import Scope
from ..config.secrets import resolve_secret
from ..key_format import digest, new_key

_PEPPER_HELP = "secret under which keys are digested: env:NAME or file:PATH, as in the configuration"


def add_commands(commands: Any) -> None:
    """Add `keys new` and `keys hash`."""
    keys = commands.add_parser("keys", help="make an API key, or the digest of one")
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a key; with --pepper, its digest, too")
    new.add_argument("--env", default="live", help="word in the key that says what it is for (default %(default)s)")
    new.add_argument("--pepper", metavar="REF", help=_PEPPER_HELP)
    new.set_defaults(run=run_new)
    hashed = actions.add_parser("hash", help="read a key from standard input, print its digest")
    hashed.add_argument("--pepper", metavar="REF", required=True, help=_PEPPER_HELP)
    hashed.set_defaults(run=run_hash)


def run_new(options: argparse.Namespace) -> int:
    """Make a key. It is shown once and kept nowhere."""
    try:
        key = new_key(options.env)
        found = digest(key, _pepper(options.pepper)) if options.pepper else None
    except ValueError as error:
        return _refuse(error)
    print(f"key:    {key}")
    if found is not None:
        print(f"digest: {found}")
    return 0


def run_hash(options: argparse.Namespace) -> int:
    """Print a key's digest. The key is read from standard input: an argument would show in the list of processes."""
    if sys.stdin.isatty():
        print("key: ", end="", file=sys.stderr, flush=True)
    key = sys.stdin.readline().strip()
    if not key or any(character.isspace() for character in key):
        return _refuse(ValueError("expected one key without white space on standard input"))
    try:
        print(digest(key, _pepper(options.pepper)))
    except ValueError as error:
        return _refuse(error)
    return 0


def _pepper(reference: str) -> str:
    return resolve_secret(reference, Scope()).reveal()


def _refuse(error: ValueError) -> int:
    print(f"headgate: {error}", file=sys.stderr)
    return 2
