"""What the tests start as a fork is what they would start afresh."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ... import prepared
from ...running import RunningGateway, gateway, plain

LINE_BYTES = 1 << 16
TOKEN = {"TOKEN_OF_THE_TEST": "secret"}
KEYED = {
    **plain("http://127.0.0.1:1"),
    "admin": {"address": "127.0.0.1:0", "token": "env:TOKEN_OF_THE_TEST"},
}


async def forked(arguments: tuple[str, ...], environment: Mapping[str, str]) -> tuple[bytes, bytes, int]:
    started = await prepared.start_in_loop("headgate.proxy", arguments, environment, LINE_BYTES)
    output, complaints = await asyncio.gather(started.stdout.read(), started.stderr.read())
    return output, complaints, await started.wait()


async def fresh(arguments: tuple[str, ...], environment: Mapping[str, str]) -> tuple[bytes, bytes, int]:
    pipe = asyncio.subprocess.PIPE
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "headgate.proxy",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, **environment},
    )
    output, complaints = await started.communicate()
    return output, complaints, await started.wait()


@pytest.mark.parametrize(
    ("command", "environment", "code"),
    [("check", {}, 2), ("check", TOKEN, 0), ("routes", TOKEN, 0), ("no-such-command", {}, 2)],
)
def test_a_command_says_the_same_and_ends_alike(
    tmp_path: Path, command: str, environment: Mapping[str, str], code: int
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(KEYED))

    async def main() -> None:
        said = await fresh((command, str(path)), environment)
        assert said[2] == code and any(said[:2])
        assert await forked((command, str(path)), environment) == said

    asyncio.run(main())


def test_a_gateway_holds_the_same_descriptors() -> None:
    async def main() -> None:
        async with gateway(KEYED, False, False, **TOKEN) as fork, gateway(KEYED, False, True, **TOKEN) as alone:
            assert isinstance(fork.process, prepared.LoopProcess)
            assert not isinstance(alone.process, prepared.LoopProcess)
            with pytest.raises(AssertionError, match="is_fresh"):
                fork.rss_bytes()
            assert _kinds(fork) == _kinds(alone)

    asyncio.run(main())


def _kinds(gate: RunningGateway) -> list[str]:
    """What a process has open, without the numbers that the kernel gives."""
    folder = Path(f"/proc/{gate.process.pid}/fd")
    return sorted(os.readlink(fd).partition("[")[0].partition(":")[0] for fd in folder.iterdir())


def test_who_is_killed_is_gone_and_all_who_wait_are_told() -> None:
    async def main() -> None:
        async with gateway(plain("http://127.0.0.1:1")) as gate:
            waiting = [asyncio.create_task(gate.process.wait()) for _ in range(3)]
            assert gate.process.returncode is None
            gate.process.kill()
            async with asyncio.timeout(10):
                assert await asyncio.gather(*waiting) == [-signal.SIGKILL] * 3
            assert gate.process.returncode == await gate.process.wait() == -signal.SIGKILL
            gate.process.send_signal(signal.SIGTERM)  # to nobody

    asyncio.run(main())


def test_one_whom_nobody_asks_about_any_more_does_no_harm(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stderr:
        for _ in range(2):
            started = prepared.start("headgate.proxy", ("--help",), stderr)
            assert started.stdout.readline().startswith("usage: ")
            started.stdout.close()
            del started  # ends, or has ended, unheard
        heard = prepared.start("headgate.proxy", ("--help",), stderr)
        assert heard.stdout.read().startswith("usage: ")
        heard.stdout.close()
        assert heard.wait(10) == 0


def test_when_the_tests_end_nothing_is_left_running(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(plain("http://127.0.0.1:1")))
    preparing = prepared.Preparing("headgate.proxy")
    with (tmp_path / "stderr").open("w") as stderr:
        started = preparing.start("headgate.proxy", ("serve", str(path)), stderr)
    try:
        assert started.stdout.readline().startswith("listening on ")
        preparing.end()
        assert started.wait(10) == -signal.SIGKILL
    finally:
        started.kill()
        started.stdout.close()


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONDEVMODE", "LD_PRELOAD", "HEADGATE_NO_EXTENSIONS"])
def test_what_only_a_fresh_interpreter_reads_makes_one(name: str) -> None:
    assert not prepared.is_preparable({"TOKEN": "x", name: ""})
    assert prepared.is_preparable({"TOKEN": "x"})
