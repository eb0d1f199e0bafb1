"""Load by wrk, with every answer compared."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from .figures import InvalidRun, Load
from .processes import pinned
from .works import ANSWER, ANSWER_TEXT, Work

_SCRIPT = Path(__file__).with_name("wrk.lua")
_GRACE_S = 30
_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Script:
    """What wrk sends over how many connections, and what it compares the answers with."""

    requests: Path
    expected: Path
    connections: int
    is_exact: bool


def write_script(work: Work, folder: Path, fields: str = "", *, is_exact: bool = True) -> Script:
    """Write the requests of `work` for wrk to read, with `fields` put into each.

    Answers must be the origin's, byte for byte; where not `is_exact` they must hold its text.
    """
    marks = f"{'with-fields' if fields else 'plain'}-{'exact' if is_exact else 'text'}"
    script = Script(folder / f"{work.name}-{marks}.requests", folder / f"answer-{marks}", work.connections, is_exact)
    with script.requests.open("wb") as file:
        for request in work.requests():
            line, _, rest = request.partition(b"\r\n")
            whole = b"%s\r\n%s%s" % (line, fields.encode(), rest)
            file.write(b"%d\n%s" % (len(whole), whole))
    script.expected.write_bytes(ANSWER if is_exact else ANSWER_TEXT)
    return script


async def run_wrk(script: Script, port: int, seconds: int, cpu: int) -> Load:
    """Send what `script` says to `port` for `seconds`. Raises: InvalidRun where an answer was not the right one."""
    arguments = ("-t1", f"-c{script.connections}", f"-d{seconds}s", f"--timeout={_TIMEOUT_S}s", f"-s{_SCRIPT}")
    with pinned(cpu):
        process = await asyncio.create_subprocess_exec(
            "wrk",
            *arguments,
            f"http://127.0.0.1:{port}/",
            "--",
            *(str(script.requests), str(script.expected), "exact" if script.is_exact else "text"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        async with asyncio.timeout(seconds + _GRACE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return read_report(output.decode(errors="replace"))


def read_report(output: str) -> Load:
    """Read what the script printed. Raises: InvalidRun where there is nothing, or an answer was not the right one."""
    lines = dict(line.split(" ", 1) for line in output.splitlines() if line.startswith(("figures ", "first_bad ")))
    if "figures" not in lines:
        raise InvalidRun(f"expected wrk to report figures, got {output[-500:]!r}")
    found = json.loads(lines["figures"])
    if found["bad"]:
        raise InvalidRun(f"{found['bad']} of {found['requests']} answers were wrong, the first: {lines['first_bad']}")
    failed = {name: number for name, number in found["failed"].items() if number}
    if failed or not found["requests"]:
        raise InvalidRun(f"expected answers without a failure, got {found['requests']} and failures {failed}")
    return Load(
        units=found["requests"],
        duration_s=found["duration_us"] / 1e6,
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
    )
