"""A process that runs tests again and again, each time in a fork of its own: what is heavy is imported once.

`python -m tests.mutation.worker`, in the root of a copy of the tree: takes tests as a JSON array per line, answers each
with one word. What is watched is imported by the forks only, and so anew each time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys

import hypothesis.stateful
import hypothesis.strategies
import pytest
from hypothesis import Phase, settings

TIMEOUT_S = 60.0
KILLED, SURVIVED, TIMED_OUT, UNUSABLE = "killed", "survived", "timed-out", "unusable"
# Hypothesis is imported before pytest could rewrite its assertions, and need not be rewritten.
OPTIONS = ("-xq", "-pno:randomly", "-pno:cacheprovider", "-Wignore::pytest.PytestAssertRewriteWarning")
NO_RESULT = 99
# A module that cannot even be imported makes tests unknown: to pytest this is a wrong way to call it.
FAILED_CODES = (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR)


class _Hasty:
    """A plugin of pytest: one failure is enough, the smallest one is nobody's concern here."""

    @staticmethod
    def pytest_configure() -> None:
        phases = [phase for phase in settings().phases if phase not in (Phase.shrink, Phase.explain)]
        settings.register_profile("hasty", settings(), phases=phases)
        settings.load_profile("hasty")


def run_forked(tests: list[str]) -> str:
    """Run tests until the first that fails, in a fork that is ended when it takes too long."""
    pid = os.fork()
    if pid == 0:
        code: int = NO_RESULT
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            code = pytest.main([*OPTIONS, *tests], plugins=[_Hasty()])
        finally:
            os._exit(code)
    watch = os.pidfd_open(pid)
    try:
        is_late = not select.select([watch], [], [], TIMEOUT_S)[0]
        if is_late:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    finally:
        os.close(watch)
    if is_late:
        return TIMED_OUT
    code = os.waitstatus_to_exitcode(status)
    return SURVIVED if code == 0 else KILLED if code in FAILED_CODES else UNUSABLE


def main() -> None:
    """Serve until the input ends."""
    assert hypothesis.strategies is not None and hypothesis.stateful is not None
    loaded = [name for name in sys.modules if name.startswith("headgate")]
    if loaded:
        raise RuntimeError(f"expected nothing of the gateway to be imported yet, found {', '.join(loaded)}")
    for line in sys.stdin:
        print(run_forked(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
