"""Where the CPU time of a governed request goes.

    python -m bench.flame [--seconds 10] [--out FILE]

py-spy reads the stacks of the gateway while it serves the small POST. It alone sees both functions of Python and those
that are compiled, so that one table holds whichever does the work: `perf` cannot name functions of Python 3.11, and
cProfile makes each of them dearer and sees nothing below. A call to the kernel is counted where it is made, in the
function of the C library; what the interpreter does is counted to the function it does it for, but for its collector
of garbage. Threads that wait are left out, and with them what the calls cost in which they wait. The microseconds are
the shares of the CPU time that a request cost just before, without the profiler.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from .figures import InvalidRun
from .machine import cpu_model, describe, slug
from .places import Place
from .processes import pinned, settled
from .rounds import origin_of
from .variants import ONE_WORKER, start_of
from .works import POST
from .wrk import run_wrk, write_script

_RESULTS = Path(__file__).with_name("results")
_WARM_UP_S = 2
_RATE = 200  # samples a second: each stops the gateway for a moment
_GRACE_S = 60
_WAITS = re.compile(r"(epoll_p?wait|PyThread_acquire_lock_timed|pthread_cond_(timed)?wait|sem_(timed|clock)?wait) ")
_WAIT_DEPTH = 3  # within them the C library has functions without a name
_INTERPRETER = re.compile(r"(?!gc_collect_main ).* \((libpython[^/]*|object\.h)\)$")
_UNNAMED = re.compile(r"0x[0-9a-f]+")
_PLACE = re.compile(r" \((?P<file>[^()]*?)(?::\d+)?\)$")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write the figures down; 2 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.flame", description="where the time of a request goes")
    parser.add_argument("--seconds", type=int, default=10, help="how long to look (default %(default)s)")
    parser.add_argument("--out", type=Path, help="where the figures go (default bench/results/flame-DATE-MACHINE.json)")
    options = parser.parse_args(argv)
    missing = [program for program in ("py-spy", "wrk") if shutil.which(program) is None]
    if missing:
        print(f"missing: {' '.join(missing)}; run: pip install py-spy, sudo apt-get install -y wrk", file=sys.stderr)
        return 2
    try:
        document = asyncio.run(_measure(options.seconds))
    except (InvalidRun, RuntimeError, TimeoutError) as error:
        print(f"invalid run: {error or type(error).__name__}", file=sys.stderr)
        return 1
    name = f"flame-{document['date']}-{slug(cpu_model())}-{len(os.sched_getaffinity(0))}-cores.json"
    path = options.out if options.out is not None else _RESULTS / name
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"figures: {path}", file=sys.stderr)
    return 0


async def _measure(seconds: int) -> dict[str, object]:
    proxy_cpu, load_cpu, *_ = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="headgate-flame-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            origin = await stack.enter_async_context(origin_of(load_cpu, folder))
            place = Place(folder, (proxy_cpu, load_cpu), origin)
            proxy = await stack.enter_async_context(start_of(ONE_WORKER)(place))
            script = write_script(POST, folder)
            await run_wrk(script, proxy.port, _WARM_UP_S, load_cpu)
            await settled(proxy, origin)
            start_ns = proxy.cpu_ns()
            load = await run_wrk(script, proxy.port, seconds, load_cpu)
            cpu_us = (proxy.cpu_ns() - start_ns) / 1e3 / load.units
            # What each of the two begins on this core it would else undo for the other.
            with pinned(load_cpu):
                async with asyncio.TaskGroup() as group:
                    group.create_task(_look(proxy.pid, seconds, folder / "stacks", load_cpu))
                    group.create_task(run_wrk(script, proxy.port, seconds + 1, load_cpu))
        return _document(cpu_us, read_stacks(await asyncio.to_thread((folder / "stacks").read_text)))


def _document(cpu_us: float, stacks: list[tuple[list[str], int]]) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe(),
        "title": f"{ONE_WORKER}, {POST.title}",
        "cpu_us": cpu_us,
        "samples": sum(number for frames, number in stacks if not is_waiting(frames)),
        "functions": functions(stacks, cpu_us),
    }


async def _look(pid: int, seconds: int, output: Path, cpu: int) -> None:
    options = ("--native", "--nolineno", "--format", "raw", "--rate", str(_RATE), "--duration", str(seconds))
    with pinned(cpu):
        process = await asyncio.create_subprocess_exec(
            *("py-spy", "record", *options, "--pid", str(pid), "--output", str(output)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    try:
        async with asyncio.timeout(seconds + _GRACE_S):
            _, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"py-spy failed: {complaint.decode(errors='replace').strip()}")


def read_stacks(raw: str) -> list[tuple[list[str], int]]:
    """Read what py-spy wrote: a line for each stack, its frames from the outermost in, then how often it was seen."""
    lines = (line.rpartition(" ") for line in raw.splitlines() if line)
    return [(stack.split(";"), int(number)) for stack, _, number in lines]


def functions(stacks: Iterable[tuple[Sequence[str], int]], cpu_us: float) -> list[dict[str, object]]:
    """Return each function that was seen at work, with its share, the largest first. Raises: InvalidRun for none."""
    seen: Counter[str] = Counter()
    for frames, number in stacks:
        if not is_waiting(frames):
            seen[tidy(_at_work(frames))] += number
    total = seen.total()
    if not total:
        raise InvalidRun("expected the gateway to be seen at work, got no sample")
    return [
        {"function": name, "us": cpu_us * number / total, "share": number / total}
        for name, number in sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    ]


def is_waiting(frames: Sequence[str]) -> bool:
    """Whether a stack ends in a wait."""
    return any(_WAITS.match(frame) for frame in frames[-_WAIT_DEPTH:])


def _at_work(frames: Sequence[str]) -> str:
    """Return the innermost frame that is not the interpreter's own."""
    return next((frame for frame in reversed(frames) if not _INTERPRETER.match(frame)), frames[-1])


def tidy(frame: str) -> str:
    """Return a frame as `function (file)`, without what differs from machine to machine."""
    frame = _UNNAMED.sub("unnamed", frame)
    found = _PLACE.search(frame)
    if found is None:
        return frame
    parts = found["file"].split("/")
    file = parts[-1] if ".so" in parts[-1] else "/".join(parts[-2:])
    return f"{frame[: found.start()]} ({file})"


if __name__ == "__main__":
    sys.exit(main())
