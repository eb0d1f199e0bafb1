"""The proxies that are compared, each as one process in front of the origin."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from . import governed
from .processes import Running, listening_port, running

_NGINX_CONFIG = Path(__file__).with_name("peers") / "nginx.conf"
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
    folder = place.folder / "nginx"
    folder.mkdir()
    port = _free_port()
    text = replaced(
        _NGINX_CONFIG.read_text(),
        {"listen 127.0.0.1:8080": f"listen 127.0.0.1:{port}", "127.0.0.1:9001": f"127.0.0.1:{place.origin_port}"},
    )
    (folder / "nginx.conf").write_text(text)
    # Started by root its worker would be another user, who may not write into the folder.
    settings = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    arguments = ("nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", settings)
    return running(arguments, place.cpu, folder / "output", lambda _: port if _answers(port) else None)


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


STARTS: Mapping[str, Start] = {"nginx": start_nginx, "bare": start_bare, "governed": start_governed}


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
