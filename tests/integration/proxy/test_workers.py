"""Several workers behind one set of sockets: what they count is one sum, and none of them is needed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headgate.proxy.config.load import load
from headgate.proxy.workers.parent import Parent

from ...http_client import fetch
from ...running import RunningGateway, plain, process
from ...upstream import Call, upstream
from .test_lifecycle import admin, with_admin

NUM = 2
READY_S = 30.0


async def ok(call: Call) -> None:
    await call.answer(b"old")


async def new(call: Call) -> None:
    await call.answer(b"new")


@contextlib.asynccontextmanager
async def serving(tmp_path: Path, config: dict[str, Any], may_complain: bool = False) -> AsyncIterator[RunningGateway]:
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(config))
    arguments = ("serve", str(path), "--workers", str(NUM))
    async with process(arguments, path, may_complain, is_fresh=True, TOKEN="secret-of-the-test") as running:
        yield running


def workers_of(gate: RunningGateway) -> set[int]:
    children = Path(f"/proc/{gate.process.pid}/task/{gate.process.pid}/children").read_text()
    return set(map(int, children.split()))


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def replaced(gate: RunningGateway, before: set[int]) -> None:
    """Wait until there are as many workers as before, others among them, and whoever is new serves."""
    async with asyncio.timeout(READY_S):
        # Only by asking can one see it.
        while len(workers_of(gate)) < NUM or workers_of(gate) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def counted(gate: RunningGateway, name: str) -> float:
    answer = await admin(gate, "GET", "/metrics")
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*?}})? (\S+)$", answer.body.decode(), re.MULTILINE))


async def counts(gate: RunningGateway, number: int) -> None:
    """Wait until so many requests are counted: each is once its answer has left."""
    async with asyncio.timeout(READY_S):
        while (found := await counted(gate, "headgate_requests_total")) < number:
            pass
    assert found == number


def test_every_worker_shows_the_counts_of_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(ok) as service, serving(tmp_path, with_admin(plain(service.url))) as gate:
            answers = [await fetch(gate.port) for _ in range(200)]
            assert {(answer.status, answer.body) for answer in answers} == {(200, b"old")}
            await counts(gate, 200)
            # Whichever worker the admin connections meet: all show one sum.
            for _ in range(10):
                assert await counted(gate, "headgate_requests_total") == 200
                assert await counted(gate, "headgate_request_duration_seconds_count") == 200
                assert await counted(gate, "headgate_attempts_total") == 200
            assert len(gate.log()) == 200

    asyncio.run(main())


def test_each_worker_gets_its_share_of_the_connections(tmp_path: Path) -> None:
    """By their upstream connections: each worker keeps one of its own."""

    async def main() -> list[int]:
        async with upstream(ok) as service, serving(tmp_path, plain(service.url)) as gate:
            for _ in range(200):
                await fetch(gate.port)
            return [len(list(calls)) for calls in _by_connection(service.calls)]

    shares = asyncio.run(main())
    assert sum(shares) == 200
    assert len(shares) == NUM and min(shares) > 0.35 * 200


def _by_connection(calls: list[Call]) -> list[list[Call]]:
    found: dict[int, list[Call]] = {}
    for call in calls:
        found.setdefault(id(call.writer), []).append(call)
    return list(found.values())


def test_a_killed_worker_costs_no_later_request_and_no_count(tmp_path: Path) -> None:
    async def main() -> list[str]:
        async with (
            upstream(ok) as service,
            serving(tmp_path, with_admin(plain(service.url))) as gate,
        ):
            for number in range(3):
                for _ in range(20):
                    assert (await fetch(gate.port)).status == 200
                await counts(gate, 40 * number + 20)
                before = workers_of(gate)
                os.kill(min(before), signal.SIGKILL)
                for _ in range(20):
                    assert (await fetch(gate.port)).status == 200  # those of the dead one wait for its successor
                await replaced(gate, before)
                await counts(gate, 40 * (number + 1))
            assert await counted(gate, "headgate_inflight") == 0
            return gate.complaints

    complaints = asyncio.run(main())
    assert sum("ended with code -9, another takes its place" in line for line in complaints) == 3


def test_a_reload_by_one_worker_is_one_of_all(tmp_path: Path) -> None:
    async def main() -> None:
        fields = "Host: localhost", "Authorization: Bearer secret-of-the-test"
        async with (
            upstream(ok) as before,
            upstream(new) as after,
            serving(tmp_path, with_admin(plain(before.url)), may_complain=True) as gate,
        ):
            gate.write(with_admin(plain(after.url)))
            assert (await admin(gate, "POST", "/reload", *fields)).status == 200
            async with asyncio.timeout(10):
                in_a_row = 0
                while in_a_row < 40:  # so many in a row are not met by one worker alone
                    in_a_row = in_a_row + 1 if (await fetch(gate.port)).body == b"new" else 0
            gate.write("routes: wrong")
            assert (await admin(gate, "POST", "/reload", *fields)).status == 422
            assert {(await fetch(gate.port)).body for _ in range(20)} == {b"new"}

    asyncio.run(main())


def test_a_drain_lets_every_worker_finish(tmp_path: Path) -> None:
    async def main() -> tuple[list[int], int | None]:
        go = asyncio.Event()

        async def slow(call: Call) -> None:
            await go.wait()
            await call.answer(b"late")

        async with upstream(slow) as service, serving(tmp_path, plain(service.url)) as gate:
            asked = [asyncio.create_task(fetch(gate.port)) for _ in range(20)]
            await service.until(lambda: len(service.calls) == 20)
            gate.signal(signal.SIGTERM)
            async with asyncio.timeout(READY_S):
                while True:  # until nobody listens any more
                    try:
                        (await asyncio.open_connection("127.0.0.1", gate.port))[1].close()
                    except ConnectionRefusedError:
                        break
                    except ConnectionResetError:  # it waited to be accepted
                        continue
            go.set()
            answers = await asyncio.gather(*asked)
            return [answer.status for answer in answers], await gate.process.wait()

    statuses, code = asyncio.run(main())
    assert statuses == [200] * 20
    assert code == 0


def test_workers_end_where_their_parent_is_killed(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(ok) as service, serving(tmp_path, plain(service.url)) as gate:
            workers = workers_of(gate)
            os.kill(gate.process.pid, signal.SIGKILL)
            async with asyncio.timeout(READY_S):
                while any(map(is_there, workers)):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    asyncio.run(main())


def test_a_worker_that_begins_as_the_parent_stops_is_ended(tmp_path: Path) -> None:
    """It was handed sockets that are closed, and nobody waited for it."""

    async def main() -> int:
        parent = Parent(tmp_path / "gateway.yaml", load(json.dumps(plain("http://127.0.0.1:9")), {}), NUM)
        parent._stopping.set()
        await parent._drain([asyncio.ensure_future(asyncio.sleep(0, 0))])
        return await parent._run_one(parent._workers[0], asyncio.Event())

    assert asyncio.run(main()) == -signal.SIGKILL


def limited(url: str, rate: str) -> dict[str, Any]:
    plugins = {"rate_limit": {"by": ["address"], "rate": rate, "burst": 50}}
    return with_admin({**plain(url), "plugins": plugins, "stages": {"ratelimit": ["rate_limit"]}})


def test_a_limit_is_one_over_all_workers_and_those_to_come(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(ok) as service, serving(tmp_path, limited(service.url, "1/h")) as gate:
            statuses = [(await fetch(gate.port)).status for _ in range(30)]
            before = workers_of(gate)
            os.kill(min(before), signal.SIGKILL)
            await replaced(gate, before)
            statuses += [(await fetch(gate.port)).status for _ in range(70)]
            assert statuses == [200] * 50 + [429] * 50
            gate.write({**limited(service.url, "1/h"), "drain": "7s"})
            gate.signal(signal.SIGHUP)
            await gate.until(lambda: sum("version 2 is in force" in line for line in gate.complaints) == NUM)
            assert {(await fetch(gate.port)).status for _ in range(20)} == {429}

    asyncio.run(main())


def test_another_limit_begins_anew_in_all_workers(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(ok) as service, serving(tmp_path, limited(service.url, "1/h")) as gate:
            assert [(await fetch(gate.port)).status for _ in range(60)] == [200] * 50 + [429] * 10
            gate.write(limited(service.url, "2/h"))
            gate.signal(signal.SIGHUP)
            await gate.until(lambda: sum("version 2 is in force" in line for line in gate.complaints) == NUM)
            assert [(await fetch(gate.port)).status for _ in range(60)] == [200] * 50 + [429] * 10

    asyncio.run(main())


@pytest.mark.parametrize(
    ("config", "code", "told"),
    [
        ({"routes": []}, 2, "listeners"),
        ({**plain("http://127.0.0.1:9"), "plugins": {"nothing": {}}}, 2, "nothing"),
        (
            {**plain("http://127.0.0.1:9"), "listeners": [{"address": "192.0.2.1:80"}]},
            1,
            "cannot listen on 192.0.2.1:80",
        ),
    ],
)
def test_what_cannot_be_served_ends_at_once(tmp_path: Path, config: dict[str, Any], code: int, told: str) -> None:
    ended, complaints = asyncio.run(run_to_its_end(tmp_path, config, {}))
    assert ended == code
    assert told in complaints and "Traceback" not in complaints


def test_workers_that_cannot_begin_end_it_with_their_code(tmp_path: Path) -> None:
    """Their parent has checked the file, but a plugin of theirs may fail as it is made."""
    config = {**plain("http://127.0.0.1:9"), "plugins": {"api_key": {"pepper": "env:P", "keys_file": "keys.json"}}}
    (tmp_path / "keys.json").write_text("no keys")
    ended, complaints = asyncio.run(run_to_its_end(tmp_path, config, {"P": "a pepper that is long enough"}))
    assert ended == 2
    assert "keys.json" in complaints and "Traceback" not in complaints


async def run_to_its_end(tmp_path: Path, config: dict[str, Any], environment: dict[str, str]) -> tuple[int, str]:
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(config))
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headgate.proxy", "serve", str(path), "--workers", "2"),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    async with asyncio.timeout(READY_S):
        _, complaints = await started.communicate()
    assert started.returncode is not None
    return started.returncode, complaints.decode()


def test_without_the_compiled_parts_workers_are_refused(tmp_path: Path) -> None:
    environment = {"HEADGATE_NO_EXTENSIONS": "1"}
    ended, complaints = asyncio.run(run_to_its_end(tmp_path, plain("http://127.0.0.1:9"), environment))
    assert ended == 2
    assert complaints.startswith("headgate: --workers: limits are counted in compiled parts")
