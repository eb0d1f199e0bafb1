"""Whatever begins is closed once: after its last exchange, at the end, or at once where it never gets to serve."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ...http_client import Answer, client, fetch
from ...running import RunningGateway, gateway, plain
from ...upstream import Call, upstream

TOKEN = "Authorization: Bearer secret-of-the-test"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder in which the plugin is installed."""
    info = tmp_path / "site" / "closer_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: closer-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headgate.plugins]\ncloser = closer_plugin:Closer\n")
    (info.parent / "closer_plugin.py").write_text((Path(__file__).parent / "closer_plugin.py").read_text())
    return info.parent


def closers(*numbers: int, **more: Any) -> dict[str, Any]:
    """A part of a configuration: plugins with these numbers."""
    names = [f"closer{number}" for number in numbers]
    plugins = {f"closer{number}": {"use": "closer", "number": number} for number in numbers}
    admin = {"address": "127.0.0.1:0", "token": "env:TOKEN", "hosts": ["gate.test"]}
    return {"plugins": plugins, "stages": {"log": names}, "admin": admin, "drain": "0s", **more}


@asynccontextmanager
async def serving(site: Path, config: dict[str, Any]) -> AsyncIterator[RunningGateway]:
    async with gateway(config, PYTHONPATH=str(site), NOTES=str(notes_of(site)), TOKEN=TOKEN.split()[-1]) as gate:
        yield gate


def notes_of(site: Path) -> Path:
    return site / "notes"


def notes(site: Path) -> list[str]:
    return notes_of(site).read_text().splitlines()


async def reload(gate: RunningGateway, config: dict[str, Any]) -> Answer:
    gate.write(config)
    return await fetch(gate.admin_port, "POST", "/reload", b"", TOKEN)


def test_at_shutdown_plugins_of_older_configurations_are_closed_too(site: Path) -> None:
    async def main() -> None:
        async def silence(call: Call) -> None:
            await call.gone()

        async with upstream(silence) as served:
            base = plain(served.url)
            async with serving(site, base | closers(1)) as gate, client(gate.port) as one, client(gate.port) as two:
                for number, connected in ((1, one), (2, two)):
                    await connected.send("GET", "/")
                    await served.until(lambda number=number: len(served.calls) == number)  # type: ignore[misc]
                    assert (await reload(gate, base | closers(number + 1))).status == 200
                gate.signal(signal.SIGTERM)
                await gate.process.wait()
        assert Counter(notes(site)) == Counter(
            [f"{number} {what}" for number in (1, 2, 3) for what in ("begins", "closes")] + ["1 logs 503", "2 logs 503"]
        )
        assert notes(site).index("1 logs 503") < notes(site).index("1 closes") < notes(site).index("2 closes")

    asyncio.run(main())


def test_a_reload_that_is_refused_closes_what_it_made_and_nothing_else(site: Path) -> None:
    async def main() -> None:
        async def ok(call: Call) -> None:
            await call.answer()

        async with upstream(ok) as served:
            base = plain(served.url)
            async with serving(site, base | closers(1)) as gate:
                refused = await reload(gate, base | closers(1, 2, 13))
                assert refused.status == 422
                assert "refused its configuration: SystemExit: an unlucky number" in refused.json()["detail"]
                assert notes(site) == ["1 begins", "2 begins", "13 begins", "2 closes", "13 closes"]
                assert (await fetch(gate.port)).status == 200
        assert notes(site)[5:] == ["1 logs 200", "1 closes"]

    asyncio.run(main())


def started(site: Path, config: str) -> subprocess.CompletedProcess[str]:
    """Start a gateway that cannot serve."""
    path = site / "gateway.yaml"
    path.write_text(config)
    environment = {**os.environ, "PYTHONPATH": str(site), "NOTES": str(notes_of(site)), "TOKEN": TOKEN.split()[-1]}
    command = [sys.executable, "-m", "headgate.proxy", "serve", str(path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)


def test_a_start_that_is_refused_closes_what_was_made(site: Path) -> None:
    ended = started(site, json.dumps(plain("http://127.0.0.1:1") | closers(1, 13)))
    assert (ended.returncode, "an unlucky number" in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)
    assert notes(site) == ["1 begins", "13 begins", "1 closes", "13 closes"]


def test_a_gateway_that_cannot_listen_closes_what_was_made(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = {"address": f"127.0.0.1:{taken.getsockname()[1]}"}
        config = plain("http://127.0.0.1:1") | closers(1, listeners=[address])
        ended = started(site, json.dumps(config))
    assert (ended.returncode, "cannot listen on" in ended.stderr) == (1, True)
    assert notes(site) == ["1 begins", "1 closes"]
