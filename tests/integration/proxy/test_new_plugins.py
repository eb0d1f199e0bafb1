"""A package of each kind, as `headgate plugins new` writes it: it installs, passes its tests, and serves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headgate.proxy
from headgate.proxy.cli.main import main
from headgate.proxy.cli.scaffold import KINDS

from ...http_client import Answer, fetch
from ...running import gateway, plain
from ...upstream import Call, upstream

ROOT = Path(headgate.proxy.__file__).parents[1]
BOUND_S = 240
pytestmark = [pytest.mark.slow, pytest.mark.timeout(BOUND_S + 60)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a package of each kind."""
    folder = tmp_path_factory.mktemp("new")
    for kind in KINDS:
        assert main(["plugins", "new", f"headgate-plugin-my-{kind}", "--kind", kind, "--into", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def installed(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder into which pip has installed all of them."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    packages = [str(written / f"headgate-plugin-my-{kind}") for kind in KINDS]
    ran("installing", [*pip, "--target", str(folder), *packages])
    yield folder


def ran(what: str, command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert done.returncode == 0, f"{what}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_they_pass_their_own_tests(written: Path, installed: Path) -> None:
    pytest_once = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    told = ran("tests", [*pytest_once, f"--rootdir={written}", str(written)], PYTHONPATH=str(installed))
    assert "failed" not in told and f"{sum(text.count('def test_') for text in sources(written)) + 2} passed" in told


def sources(written: Path) -> list[str]:
    return [path.read_text() for path in written.glob("*/tests/test_*.py")]


# What a plugin's author may get wrong, and what mypy says of it.
WRONG = """
from headgate.plugins.testing import make_exchange
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.verdicts import Identity, Reject, Reservation

def auth(exchange: Exchange) -> Identity | Reject | None:
    return exchange.identity.tenant
def limit(exchange: Exchange) -> Reservation:
    return Reservation(settle=lambda: None)
made = make_exchange(identity="ann", colour="red")
"""
COMPLAINTS = (
    '7: error: Item "None" of "Identity | None" has no attribute "tenant"',
    "7: error: Incompatible return value type",
    "9: error: Cannot infer type of lambda",
    '10: error: Unexpected keyword argument "colour"',
    '10: error: Argument "identity" to "make_exchange" has incompatible type',
)


def test_their_types_are_right_and_wrong_ones_are_refused(written: Path, tmp_path: Path) -> None:
    (tmp_path / "headgate").symlink_to(ROOT)  # an editable install is nothing that mypy finds
    modules = [f"{written}/headgate-plugin-my-{kind}/headgate_plugin_my_{kind}" for kind in KINDS]
    tests = [str(path) for path in written.glob("*/tests/test_*.py")]
    paths = ":".join([str(tmp_path), *(str(written / f"headgate-plugin-my-{kind}") for kind in KINDS)])
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", f"--cache-dir={tmp_path}/cache"]
    mypy += ["--config-file=", "--namespace-packages", "--explicit-package-bases"]
    ran("types", [*mypy, *modules, *tests], MYPYPATH=paths)
    wrong = tmp_path / "wrong_plugin.py"
    wrong.write_text(WRONG)
    told = subprocess.run([*mypy, str(wrong)], env={**os.environ, "MYPYPATH": paths}, capture_output=True, text=True)
    assert told.returncode == 1
    assert [complaint for complaint in COMPLAINTS if f"wrong_plugin.py:{complaint}" not in told.stdout] == [], (
        told.stdout
    )


async def whole(call: Call) -> None:
    fields = ";".join(sorted(line.split(":")[0].lower() for line in call.head.decode().splitlines()[1:] if line))
    await call.answer(fields.encode(), "200 OK", "Cache-Control: max-age=60")


def test_a_gateway_serves_with_all_of_them(installed: Path) -> None:
    async def serve() -> tuple[Answer, list[Answer], int]:
        async with upstream(whole) as service:
            config: dict[str, Any] = plain(service.url)
            stages = {stage: [f"my_{kind}"] for kind in KINDS for stage in KINDS[kind].stages if kind != "aggregate"}
            config |= {"stages": stages, "plugins": {f"my_{kind}": {} for kind in KINDS if kind != "auth"}}
            config["plugins"]["my_auth"] = {"secret": "env:WORD"}
            config["plugins"]["my_log"] = {"slow_s": 0}
            both = {"stages": {**stages, "cache": [], "aggregate": ["my_aggregate"]}, "targets": ["t0"]}
            config["routes"].insert(0, {"name": "both", "match": {"path": "/both"}, **both})
            async with gateway(config, PYTHONPATH=str(installed), WORD="open") as gate:
                refused = await fetch(gate.port)
                answers = [await fetch(gate.port, "GET", path, None, "X-Secret: open") for path in ("/", "/", "/both")]
                await gate.until(lambda: len(gate.log()) == 4)
                assert [line["extra"]["my_log"] for line in gate.log()] == ["slow"] * 4
            return refused, answers, len(service.calls)

    refused, (first, second, both), num_calls = asyncio.run(serve())
    assert (refused.status, first.status, second.status, both.status) == (401, 200, 200, 200)
    assert b"x-tenant" in first.body and b"x-secret" not in first.body
    assert first.field("x-content-type-options") == "nosniff"
    assert second.body == first.body and num_calls == 2
    assert both.json()["t0"]["status"] == 200
