"""Processes are measured whole, and a failed start is told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.places import replaced
from bench.processes import admin_port, cpu_ns, listening_port, running, settled, tree

CPU = min(os.sched_getaffinity(0))


def test_cpu_time_is_that_of_the_whole_process() -> None:
    before = time.process_time_ns()
    measured = cpu_ns(os.getpid())
    assert before <= measured <= time.process_time_ns()


def test_children_belong_to_the_tree() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdin is not None
        parent.stdout.readline()
        assert len(tree(parent.pid)) == 2 and tree(parent.pid)[0] == parent.pid
        parent.stdin.close()


def test_a_process_that_ends_is_told_with_what_it_said(tmp_path: Path) -> None:
    async def main() -> None:
        arguments = (sys.executable, "-c", "print('no such thing')")
        async with running(arguments, CPU, tmp_path / "output", listening_port):
            raise AssertionError

    with pytest.raises(RuntimeError, match="no such thing"):
        asyncio.run(main())


def test_a_process_runs_on_its_core_and_is_ended(tmp_path: Path) -> None:
    async def main() -> int:
        script = "print('listening on http://127.0.0.1:4711', flush=True); input()"
        arguments = (sys.executable, "-c", f"import signal; {script.replace('input()', 'signal.pause()')}")
        async with running(arguments, CPU, tmp_path / "output", listening_port) as process:
            assert process.port == 4711 and os.sched_getaffinity(process.pid) == {CPU}
            assert process.cpu_ns() > 0 and process.rss_kib() > 1000
            return process.pid

    pid = asyncio.run(main())
    assert not Path(f"/proc/{pid}").exists()


def test_the_most_memory_is_that_since_it_was_forgotten(tmp_path: Path) -> None:
    script = (
        "import signal; print('listening on http://127.0.0.1:4711', flush=True); signal.sigwait({signal.SIGUSR1});"
        "bytearray(60 << 20); print('admin on http://127.0.0.1:4712', flush=True); signal.pause()"
    )

    async def main() -> None:
        arguments = (sys.executable, "-c", f"import signal; signal.pthread_sigmask(0, [signal.SIGUSR1]); {script}")
        async with running(arguments, CPU, tmp_path / "output", listening_port) as process:
            process.forget_peak()
            before_kib = process.peak_kib()
            os.kill(process.pid, signal.SIGUSR1)
            async with asyncio.timeout(20):
                # Only by asking can one see it.
                while admin_port(process.output.read_text()) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert process.peak_kib() - before_kib > 50_000 > process.rss_kib() - before_kib
            process.forget_peak()
            assert process.peak_kib() - before_kib < 50_000

    asyncio.run(main())


def test_who_is_at_work_is_waited_for(tmp_path: Path) -> None:
    script = (
        "import time; print('listening on http://127.0.0.1:4711', flush=True)\n"
        "while time.process_time() < 0.5: pass\n"
        "import signal; signal.pause()"
    )

    async def main() -> None:
        arguments = (sys.executable, "-c", script)
        async with running(arguments, CPU, tmp_path / "output", listening_port) as process:
            await settled(process)
            assert process.cpu_ns() >= 500_000_000

    asyncio.run(main())


def test_a_port_is_read_from_a_whole_line_only() -> None:
    assert listening_port("listening on http://127.0.0.1:80") is None
    assert listening_port("starting\nlistening on http://127.0.0.1:8000\n{}\n") == 8000


def test_an_address_must_stand_once_to_be_replaced() -> None:
    assert replaced("a b", {"a": "c"}) == "c b"
    for text in ("b", "a a"):
        with pytest.raises(ValueError, match="once"):
            replaced(text, {"a": "c"})
