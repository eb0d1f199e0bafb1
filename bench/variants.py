"""The ways in which headgate is run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import governed
from .places import CONFIGS, Place, Start, replaced
from .processes import Running, listening_port, running

_HEADGATE = (sys.executable, "-m", "headgate.proxy")
_GOVERNED = governed.EXAMPLES / governed.CONFIG_NAME
_ADDRESSES = ("127.0.0.1:9001", "127.0.0.1:9002", "address: 127.0.0.1:8080", "address: 127.0.0.1:9901")
_MOST = ("post", "get", "prompt", "stream", "single", "idle")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run headgate, and the works that it does. `config` None: `headgate proxy`, without any.

    `changes` are made to the text of the configuration, beside those of its addresses.
    """

    works: tuple[str, ...]
    config: Path | None = _GOVERNED
    num_workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_governed(self) -> bool:
        """Whether it has an access log, and metrics that can be asked for."""
        return self.config == _GOVERNED


ONE_WORKER, SEVERAL_WORKERS = "governed", "two workers"
VARIANTS: Mapping[str, Variant] = {
    "bare": Variant(_MOST, config=None),  # has no more than 256 connections to an endpoint
    ONE_WORKER: Variant((*_MOST, "cache", "many-streams", "burst")),
    SEVERAL_WORKERS: Variant(("post", "get"), num_workers=2),
    "lane off": Variant(("post", "get", "stream"), environment={"HEADGATE_NO_LANE": "1"}),
    "cached": Variant(("cache",), config=CONFIGS / "cached.yaml"),
}


def start_of(name: str) -> Start:
    """Return what runs a variant."""
    return partial(_start, name)


def _start(name: str, place: Place) -> AbstractAsyncContextManager[Running]:
    """Run a variant on other ports: one worker on the proxies' core, several on all. What it prints is its log."""
    variant, folder = VARIANTS[name], place.folder / name.replace(" ", "-")
    folder.mkdir()
    cpus = place.cpus if variant.num_workers > 1 else (place.cpu,)
    environment = {governed.PEPPER_VARIABLE: governed.PEPPER, **variant.environment}
    arguments = (*_HEADGATE, *_command(variant, place, folder))
    return running(arguments, cpus, folder / "output", listening_port, environment)


def _command(variant: Variant, place: Place, folder: Path) -> tuple[str, ...]:
    if variant.config is None:
        return ("proxy", f"http://127.0.0.1:{place.origin.port}", "--listen", "127.0.0.1:0")
    path = folder / variant.config.name
    path.write_text(config_text(variant, place.origin.port))
    if variant.is_governed:
        shutil.copy(governed.EXAMPLES / governed.KEYS_NAME, folder)
    return ("serve", str(path), "--workers", str(variant.num_workers))


def config_text(variant: Variant, origin_port: int) -> str:
    """Return the configuration of a variant that has one, on free ports, with the origin behind it."""
    if variant.config is None:
        raise ValueError("expected a variant with a configuration, got one without")
    text = variant.config.read_text()
    changes = {address: _elsewhere(address, origin_port) for address in _ADDRESSES if address in text}
    return replaced(text, {**changes, **variant.changes})


def _elsewhere(address: str, origin_port: int) -> str:
    words, _, port = address.rpartition(":")
    return f"{words}:{origin_port if port.startswith('900') else 0}"
