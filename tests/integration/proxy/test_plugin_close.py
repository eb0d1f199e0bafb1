"""Whatever begins is closed once: after its last exchange, or at the end."""

from __future__ import annotations

import asyncio
import signal
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
