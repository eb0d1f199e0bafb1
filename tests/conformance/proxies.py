"""The proxy under test, as a process of its own: headgate, or a peer to check the table itself against.

Peers read their configuration from a temporary folder and inherit a bound socket, so that nothing is to be waited for.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Address = tuple[str, int]

READY = "listening on http://"
START_S = 20.0

_NGINX = """
user root; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream origin {{ server {origin}; keepalive 8; }}
  server {{
    listen {listen};
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_request_buffering off; proxy_buffering off; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
    }}
  }}
}}
"""

_HAPROXY = """
global
  stats socket {folder}/stats.sock
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  option http-no-delay
frontend in
  bind fd@{fd}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend out
backend out
  http-reuse always
  server origin {origin}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy in front of the origin; `stderr` is what it complains about, growing."""

    name: str
    address: Address
    stderr: Path

    @property
    def is_headgate(self) -> bool:
        return self.name == "headgate"


@contextmanager
def start(name: str, origin: Address, folder: Path) -> Iterator[Proxy]:
    """Start the proxy `name` in front of `origin`; end it afterwards. Raises: RuntimeError where it does not start."""
    if name == "headgate":
        yield from _start_headgate(origin, folder)
    elif name in ("nginx", "haproxy"):
        yield from _start_peer(name, origin, folder)
    else:
        raise RuntimeError(f"expected headgate, nginx or haproxy, got {name!r}")


def _start_headgate(origin: Address, folder: Path) -> Iterator[Proxy]:
    command = [sys.executable, "-m", "headgate.proxy", "proxy", f"http://{origin[0]}:{origin[1]}"]
    complaints = folder / "stderr"
    with complaints.open("wb") as stderr:
        command += ["--listen", "127.0.0.1:0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    stdout = process.stdout
    ready = threading.Event()
    found: list[str] = []

    def drain() -> None:
        for line in stdout:
            if line.startswith(READY):
                found.append(line.removeprefix(READY).strip())
                ready.set()
        ready.set()

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        if not ready.wait(START_S) or not found:
            raise RuntimeError(f"expected `{READY}HOST:PORT` on stdout within {START_S} s; {complaints.read_text()!r}")
        host, _, port = found[0].rpartition(":")
        yield Proxy("headgate", (host, int(port)), complaints)
    finally:
        _end(process)
        reader.join(START_S)
        stdout.close()


def _start_peer(name: str, origin: Address, folder: Path) -> Iterator[Proxy]:
    config = folder / f"{name}.conf"
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.set_inheritable(True)
        listener.setblocking(False)  # nginx leaves an inherited socket as it is
        fd, (host, port) = listener.fileno(), listener.getsockname()
        values = {"folder": folder, "origin": f"{origin[0]}:{origin[1]}", "listen": f"{host}:{port}", "fd": fd}
        config.write_text((_NGINX if name == "nginx" else _HAPROXY).format(**values))
        command = ["nginx", "-p", str(folder), "-c"] if name == "nginx" else ["haproxy", "-db", "-f"]
        environment = {**os.environ, "NGINX": f"{fd};"} if name == "nginx" else dict(os.environ)
        complaints = folder / "stderr"
        with complaints.open("wb") as stderr:
            process = subprocess.Popen([*command, str(config)], pass_fds=[fd], env=environment, stderr=stderr)
        try:
            yield Proxy(name, (host, port), complaints)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(START_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
