"""What every proxy needs to begin: a place, a port, and its configuration with other addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from .processes import Running, running

CONFIGS = Path(__file__).with_name("peers")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy runs: its files, its core, and the origin behind it. `cpus` are all cores of the run."""

    folder: Path
    cpus: tuple[int, int]
    origin: Running

    @property
    def cpu(self) -> int:
        """The core of a proxy that has one."""
        return self.cpus[0]


Start = Callable[[Place], AbstractAsyncContextManager[Running]]


def peer_config(place: Place, name: str, entry: str | None, origin: str) -> tuple[Path, int]:
    """Write a peer's configuration with a free port and the origin's, in a folder of its own; return both.

    `entry` is the address that it listens on; None where its command line says that.
    """
    port = free_port()
    folder = place.folder / Path(name).stem
    folder.mkdir()
    changes = {origin: origin.replace("9001", str(place.origin.port))}
    if entry is not None:
        changes[entry] = entry.replace("8080", str(port))
    config = folder / name
    config.write_text(replaced((CONFIGS / name).read_text(), changes))
    return config, port


def running_peer(
    arguments: Sequence[str], place: Place, folder: Path, port: int, environment: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[Running]:
    """Run a program that will serve `port`."""
    return running(arguments, place.cpu, folder / "output", lambda _: port if _answers(port) else None, environment)


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Return `text` with other addresses. Raises: ValueError where one to be replaced does not stand there once."""
    for old, new in changes.items():
        if text.count(old) != 1:
            raise ValueError(f"expected `{old}` once in the configuration, got it {text.count(old)} times")
        text = text.replace(old, new)
    return text


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
