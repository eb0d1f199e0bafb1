"""How several workers share the requests, and whether what they count is one sum."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from .figures import InvalidRun
from .origin import Counts
from .processes import Running, admin_port, start_of, tree

_COUNTED = re.compile(rb"^headgate_requests_total(?:\{.*\})? (\S+)$", re.MULTILINE)
_LOOK_S = 0.1
_LEAST_KNOWN = 0.9
_SOCKET = re.compile(r"socket:\[(\d+)\]")


async def counts(origin: Running) -> Counts:
    """Return what came to the origin so far."""
    return Counts(**orjson.loads(await fetch(origin.port, "/counts")))


async def by_port(origin: Running) -> dict[int, int]:
    """Return how many requests came to the origin from each port so far."""
    return {int(port): num for port, num in orjson.loads(await fetch(origin.port, "/ports")).items()}


@asynccontextmanager
async def watched(proxy: Running) -> AsyncIterator[dict[int, int]]:
    """Look again and again, while the block runs, which of the processes has the connection from which port."""
    owners: dict[int, int] = {}
    watch = asyncio.create_task(_watch(proxy, owners))
    try:
        yield owners
    finally:
        watch.cancel()
        await asyncio.wait([watch])


async def _watch(proxy: Running, owners: dict[int, int]) -> None:
    while True:
        owners.update(_owners(tree(proxy.pid)))
        await asyncio.sleep(_LOOK_S)


def shares(workers: Sequence[int], owners: Mapping[int, int], requests: Mapping[int, int]) -> list[float]:
    """Return each worker's part of the `requests` by port, the smallest first.

    Raises: InvalidRun where it is not known of nearly all whose they are.
    """
    found = Counter({pid: 0 for pid in workers})
    for port, num in requests.items():
        if owners.get(port) in found:
            found[owners[port]] += num
    total = sum(requests.values())
    if found.total() < _LEAST_KNOWN * total or not total:
        raise InvalidRun(
            f"expected to know of nearly all of {total} requests which worker had them, got {found.total()}"
        )
    return sorted(num / found.total() for num in found.values())


def since(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    """Return how many requests came from each port between two counts."""
    return {port: num - before.get(port, 0) for port, num in after.items() if num > before.get(port, 0)}


async def check_metrics(name: str, proxy: Running, num_lines: int) -> None:
    """Compare the metrics with the lines of the access log. Raises: InvalidRun where they differ."""
    port = admin_port(start_of(proxy.output))
    if port is None:
        raise InvalidRun(f"{name}: expected an admin address")
    text = await fetch(port, "/metrics")
    counted = sum(float(value) for value in _COUNTED.findall(text))
    if counted != num_lines:
        raise InvalidRun(f"{name}: metrics count {counted:.0f} requests, the access log has {num_lines} lines")


async def fetch(port: int, path: str) -> bytes:
    """Return the body of an answer that has a length, or ends with its connection. Raises: InvalidRun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise InvalidRun(f"expected 200 and a length from {path}, got {head[:200]!r}")
        return await reader.readexactly(int(length[1]))
    finally:
        writer.close()


def _owners(pids: list[int]) -> dict[int, int]:
    """Return which process has the connection from each local port. Cost: linear in all connections of the machine."""
    ports = _port_of_inode()
    return {ports[inode]: pid for pid in pids for inode in _inodes(pid) if inode in ports}


def _port_of_inode() -> dict[str, int]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows}


def _inodes(pid: int) -> list[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            match = _SOCKET.fullmatch(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:  # closed meanwhile
            continue
        found += [match[1]] if match else []
    return found
