"""`python -m headgate.demo`: a gateway with two small models behind it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import secrets
import signal
import socket
import string
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from .guide import guide
from .parts import Part, PartError

_ADMIN_PORT = 9901
_HERE = Path(str(files("headgate.demo")))
_PEPPER = "headgate-demo-pepper"
_TIERS = ("heavy", "lite")
_EXTRA = ("torch", "safetensors", "tokenizers", "jinja2", "numpy")


def main() -> int:
    """Run the demo until a signal; return the exit code."""
    options = _parser().parse_args()
    code = 0
    try:
        _check(options.port, options.models)
        asyncio.run(_run(options.port, options.models))
    except* PartError as failures:
        print(f"headgate demo: {failures.exceptions[0]}", file=sys.stderr)
        code = 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headgate demo", description="A gateway with two small models behind it.")
    parser.add_argument(
        "--port",
        type=_port,
        default=8080,
        help=f"port of the gateway, with the admin address on {_ADMIN_PORT}; 0 takes free ports (default %(default)s)",
    )
    parser.add_argument(
        "--models",
        metavar="FOLDER",
        type=Path,
        default=_HERE / "models",
        help="folder that holds the models `heavy` and `lite` (default: those of the demo)",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _check(port: int, models: Path) -> None:
    """Look for what would fail later, behind a long start. Raises: PartError."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise PartError(f"{', '.join(missing)} missing; run: pip install 'headgate[inference]'")
    for name in _TIERS:
        if not (models / name / "config.json").is_file():
            raise PartError(f"expected a model in {models / name}, found none; choose another folder with --models")
    for wanted in [port, _ADMIN_PORT] if port else []:
        _refuse_taken(wanted)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = str(error.strerror).lower()
            raise PartError(f"cannot listen on 127.0.0.1:{port}: {reason}; take free ports with --port 0") from None


async def _run(port: int, models: Path) -> None:
    """Serve until a signal to end."""
    serving = asyncio.ensure_future(_serve(port, models))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Once: a second signal must not cut short the end of the parts.
        asyncio.get_running_loop().add_signal_handler(number, lambda: serving.cancelling() or serving.cancel())
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _serve(port: int, models: Path) -> None:
    """Start every part, keep the tiers running until cancelled or the gateway ends, and leave no part behind."""
    tiers = [_tier(name, models / name) for name in _TIERS]
    parts = list(tiers)
    with tempfile.TemporaryDirectory(prefix="headgate-demo-") as folder:
        try:
            async with asyncio.TaskGroup() as starting:
                for tier in tiers:
                    starting.create_task(tier.start())
            gateway = _gateway(Path(folder), port, tiers)
            parts.append(gateway)
            listening, admin = [line.rpartition(" ")[2] for line in await gateway.start()]
            print(guide(listening, admin, tiers[0].pid), flush=True)
            async with asyncio.TaskGroup() as keeping:
                for tier in tiers:
                    keeping.create_task(tier.keep())
                raise PartError(f"gateway: ended with exit code {await gateway.ended()}")
        finally:
            await asyncio.gather(*(part.stop() for part in parts))


def _tier(name: str, model: Path) -> Part:
    # The gateway ends its streams within a second; after that a tier waits for nobody.
    options = ["--listen", "127.0.0.1:{port}", "--name", name, "--grace-s", "2"]
    return Part(name, ["-m", "headgate.inference", "serve", str(model), *options])


def _gateway(folder: Path, port: int, tiers: list[Part]) -> Part:
    names = {f"{tier.name}_port": str(tier.port) for tier in tiers}
    names |= {"gateway_port": str(port), "admin_port": str(_ADMIN_PORT if port else 0)}
    names["access_log"] = str(folder / "access.log")
    config = folder / "gateway.yaml"
    config.write_text(string.Template((_HERE / "demo.yaml").read_text()).substitute(names))
    secret = {"HEADGATE_DEMO_PEPPER": _PEPPER, "HEADGATE_DEMO_TOKEN": secrets.token_urlsafe(24)}
    return Part("gateway", ["-m", "headgate.proxy", "serve", str(config)], port, secret, ready="admin on ")


if __name__ == "__main__":
    sys.exit(main())
