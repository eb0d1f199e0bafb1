"""Two upstreams that misbehave on command, and a gateway in front of them, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from ..processes import listening_port, running
from .scenario import BUDGET, HEAVY_TEXT, LITE_TEXT

_HEADGATE = (sys.executable, "-m", "headgate.proxy")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A fault upstream."""

    session: aiohttp.ClientSession
    url: str

    async def misbehave(self, *faults: str) -> None:
        """Put a script in force, from its beginning."""
        async with self.session.put(f"{self.url}/faults", json=list(faults)) as response:
            if response.status != 200:
                raise RuntimeError(f"expected a script in force, got: {await response.text()}")

    async def forget(self) -> None:
        """Empty the list of requests seen."""
        async with self.session.delete(f"{self.url}/requests") as response:
            await response.read()

    async def num_attempts(self) -> int:
        """How many completions were asked for."""
        async with self.session.get(f"{self.url}/requests") as response:
            requests = (await response.json())["requests"]
        return sum(request["path"] == "/v1/chat/completions" for request in requests)


@dataclass(frozen=True, slots=True)
class Stand:
    """What runs."""

    session: aiohttp.ClientSession
    heavy: Upstream
    lite: Upstream
    url: str


@contextlib.asynccontextmanager
async def stand(folder: Path, route: Mapping[str, Any], targets: Sequence[Any]) -> AsyncIterator[Stand]:
    """Start everything; stop it when the block ends."""
    cpus = sorted(os.sched_getaffinity(0))
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        ports = []
        for name, text in (("heavy", HEAVY_TEXT), ("lite", LITE_TEXT)):
            # Tokens that came in one piece with the fault would never be committed.
            options = ("--listen", "127.0.0.1:0", "--name", name, "--text", text, "--pace", "20ms")
            arguments = (*_HEADGATE, "fault-upstream", *options)
            process = await stack.enter_async_context(running(arguments, cpus[0], folder / f"{name}.out", _fault_port))
            ports.append(process.port)
        path = _written(folder / "gateway.yaml", _config(ports, route, targets))
        gateway = running((*_HEADGATE, "serve", str(path)), cpus[-1], folder / "gateway.out", listening_port)
        served = await stack.enter_async_context(gateway)
        heavy, lite = (Upstream(session, f"http://127.0.0.1:{port}") for port in ports)
        yield Stand(session, heavy, lite, f"http://127.0.0.1:{served.port}")


def _config(ports: Sequence[int], route: Mapping[str, Any], targets: Sequence[Any]) -> dict[str, Any]:
    heavy, lite = ports
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {
            "heavy": {"endpoints": [f"http://127.0.0.1:{heavy}"]},
            "lite": {"endpoints": [f"http://127.0.0.1:{lite}"]},
        },
        "routes": [
            {
                "name": "chat",
                "match": {"path": "/v1/chat/completions"},
                "kind": "inference",
                "deadline": BUDGET,
                "targets": list(targets),
                **route,
            }
        ],
    }


def _written(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(json.dumps(config))
    return path


def _fault_port(output: str) -> int | None:
    for line in output.splitlines(keepends=True):
        if line.startswith("fault-upstream on ") and line.endswith("\n"):
            return int(line.rstrip().rpartition(":")[2])
    return None
