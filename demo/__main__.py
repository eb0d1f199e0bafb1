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

from .parts import Part, PartError

_ADMIN_PORT = 9901
_HERE = files("headgate.demo")
_PEPPER = "headgate-demo-pepper"
_USAGE = """
The gateway listens on {url}, its admin address is {admin} (/metrics, /readyz).
Models: auto (heavy, then lite), heavy, lite. Key: demo.

  curl -s {url}/v1/chat/completions -H 'Authorization: Bearer demo' -H 'Content-Type: application/json' \\
    -d '{{"model": "auto", "messages": [{{"role": "user", "content": "What is a retry budget?"}}]}}'

  {python} - <<'END'
  from openai import OpenAI  # pip install openai
  client = OpenAI(base_url="{url}/v1", api_key="demo")
  question = [{{"role": "user", "content": "What does headgate do when a tier fails?"}}]
  for part in client.chat.completions.create(model="auto", messages=question, stream=True):
      print(part.choices[0].delta.content or "", end="", flush=True)
  END

See a fallback: kill -9 {heavy_pid} (heavy), then ask again: x-headgate-target says who answers. heavy is back in some seconds.
Stop with Ctrl-C.
"""


def main() -> int:
    """Run the demo until a signal; return the exit code."""
    parser = argparse.ArgumentParser(prog="headgate demo", description="A gateway with two small models behind it.")
    parser.add_argument("--port", type=int, default=8080, help="port of the gateway; 0 takes free ports")
    options = parser.parse_args()
    missing = [name for name in ("torch", "safetensors", "tokenizers") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"headgate demo: {', '.join(missing)} missing; run: pip install 'headgate[inference]'", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_run(options.port))
    except PartError as error:
        print(f"headgate demo: {error}", file=sys.stderr)
        return 1


async def _run(port: int) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    is_any = port == 0
    _refuse_taken([] if is_any else [port, _ADMIN_PORT])
    with tempfile.TemporaryDirectory(prefix="headgate-demo-") as folder:
        tiers = [_tier("heavy", _free_port()), _tier("lite", _free_port())]
        parts = list(tiers)
        try:
            starting = asyncio.gather(*(part.start() for part in tiers))
            await _first(starting, stop)
            gateway = _gateway(Path(folder), port, 0 if is_any else _ADMIN_PORT, tiers)
            parts.append(gateway)
            if not stop.is_set():
                listening, admin = [line.rpartition(" ")[2] for line in await gateway.start()]
                heavy = tiers[0].process
                pid = heavy.pid if heavy is not None else 0
                print(_USAGE.format(url=listening, admin=admin, python=sys.executable, heavy_pid=pid), flush=True)
                await _serve(gateway, tiers, stop)
        finally:
            await asyncio.gather(*(part.stop() for part in reversed(parts)))
    return 0


async def _first(starting: asyncio.Future[list[list[str]]], stop: asyncio.Event) -> None:
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        starting.result()
    else:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting


async def _serve(gateway: Part, tiers: list[Part], stop: asyncio.Event) -> None:
    keepers = [asyncio.create_task(part.keep()) for part in tiers]
    ended = asyncio.ensure_future(gateway.process.wait()) if gateway.process is not None else asyncio.Future[int]()
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
    for task in (*keepers, stopping):
        task.cancel()
    await asyncio.wait((*keepers, stopping))
    if ended.done() and not stop.is_set():
        raise PartError(f"gateway: ended with exit code {ended.result()}")


def _tier(name: str, port: int) -> Part:
    model = str(_HERE / "models" / name)
    command = ["-m", "headgate.inference", "serve", model, "--listen", f"127.0.0.1:{port}", "--name", name]
    return Part(name, command, port)


def _gateway(folder: Path, port: int, admin_port: int, tiers: list[Part]) -> Part:
    ports = {f"{tier.name}_port": tier.port for tier in tiers}
    names = {"gateway_port": port, "admin_port": admin_port, "access_log": str(folder / "access.log"), **ports}
    text = string.Template((_HERE / "demo.yaml").read_text()).substitute({key: str(value) for key, value in names.items()})
    config = folder / "gateway.yaml"
    config.write_text(text)
    secret = {"HEADGATE_DEMO_PEPPER": _PEPPER, "HEADGATE_DEMO_TOKEN": secrets.token_urlsafe(24)}
    return Part("gateway", ["-m", "headgate.proxy", "serve", str(config)], port, secret, ready="admin on ")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refuse_taken(ports: list[int]) -> None:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise PartError(f"port {port} is taken ({error.strerror}); try: headgate demo --port 0") from None


if __name__ == "__main__":
    sys.exit(main())
