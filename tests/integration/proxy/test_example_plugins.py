"""The example packages: installed by pip, each serves with its own configuration."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from ...http_client import Answer, fetch
from ...running import gateway
from ...upstream import Call, upstream

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = ("basic-auth", "redact", "compare")
pytestmark = pytest.mark.timeout(240)  # the first one waits for pip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the three."""
    folder, source = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source")
    copies = [str(source / name) for name in NAMES]  # pip leaves a folder behind in what it builds
    for name, copy in zip(NAMES, copies, strict=True):
        subprocess.run(["cp", "-r", str(EXAMPLES / f"headgate-plugin-{name}"), copy], check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder), *copies], check=True, capture_output=True)
    return folder


def config(name: str, *urls: str) -> str:
    """The example's own configuration, on a free port, in front of these services."""
    text = (EXAMPLES / f"headgate-plugin-{name}" / "gateway.yaml").read_text().replace("127.0.0.1:8080", "127.0.0.1:0")
    for number, url in enumerate(urls):
        text = text.replace(f"http://127.0.0.1:{9000 + number}", url)
    return text


def test_users_are_known_by_their_password(installed: Path) -> None:
    async def told(call: Call) -> None:
        await call.answer(b"".join(value.encode() for value in call.fields("authorization")) or b"nothing")

    async def main() -> list[Answer]:
        credentials = [b"alice:open", b"alice:opem", b"bob:", b"alice"]
        fields = [f"Authorization: Basic {b64encode(credential).decode()}" for credential in credentials]
        async with (
            upstream(told) as service,
            gateway(config("basic-auth", service.url), PYTHONPATH=str(installed), ALICE="open") as gate,
        ):
            return [await fetch(gate.port, "GET", "/", None, field) for field in [*fields, "Authorization: Basic %%"]]

    known, *refused = asyncio.run(main())
    assert (known.status, known.body) == (200, b"nothing")
    assert [answer.status for answer in refused] == [401] * 4
    assert refused[0].field("www-authenticate") == 'Basic realm="headgate", charset="UTF-8"'


def test_no_event_shows_the_words(installed: Path) -> None:
    stream = b"data: the word is Swordfish\n\ndata: swordfishes\n\n"

    async def streamed(call: Call) -> None:
        await call.answer(stream, "200 OK", "Content-Type: text/event-stream")

    async def main() -> Answer:
        async with (
            upstream(streamed) as service,
            gateway(config("redact", service.url), PYTHONPATH=str(installed)) as gate,
        ):
            return await fetch(gate.port)

    answer = asyncio.run(main())
    assert answer.body == stream.replace(b"Swordfish", b"***")
    assert (answer.field("x-redacted"), answer.is_whole) == ("yes", True)


def test_two_services_are_compared(installed: Path) -> None:
    async def first(call: Call) -> None:
        await call.answer(b"one")

    async def second(call: Call) -> None:
        if "/down" in call.line:
            call.reset()
        else:
            await call.answer(b"one" if "/same" in call.line else b"two")

    async def main() -> list[Answer]:
        async with (
            upstream(first) as used,
            upstream(second) as candidate,
            gateway(config("compare", used.url, candidate.url), PYTHONPATH=str(installed)) as gate,
        ):
            return [await fetch(gate.port, "GET", path) for path in ("/same", "/other", "/down")]

    answers = asyncio.run(main())
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"one")] * 3
    assert [answer.field("x-second") for answer in answers] == ["same", "different", "unknown"]
