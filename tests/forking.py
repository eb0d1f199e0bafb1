"""The process behind `prepared`: it imports what it is told, and forks for each request on its standard input.

A request is a JSON object with three descriptors for the standard streams and one for the exit code; the answer is a
pid. It ends, and what it started with it, when nobody is left who could ask.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

MESSAGE_BYTES = 1 << 17
NUM_FDS = 4


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    pidfd: int
    ended: int  # takes its exit code


def main() -> None:
    """Import the modules named on the command line, then start processes."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is shared with the forks stays so
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests that it interrupts end this
    with socket.socket(fileno=os.dup(0)) as channel, selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        request = _serve(channel, selector)
    if request is not None:
        _run(request)


def _serve(channel: socket.socket, selector: selectors.BaseSelector) -> dict[str, Any] | None:
    """Fork for each request. Return it in the fork; None in the end."""
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                selector.unregister(key.fd)
                _reap(key.data)
                continue
            data, fds, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, NUM_FDS)
            children = [each.data for each in selector.get_map().values() if each.data is not None]
            if not data:
                for child in children:
                    os.kill(child.pid, signal.SIGKILL)
                return None
            pid = os.fork()
            if not pid:
                _take_streams(fds, children)
                request: dict[str, Any] = json.loads(data)
                return request
            for fd in fds[:3]:
                os.close(fd)
            pidfd = os.pidfd_open(pid)
            selector.register(pidfd, selectors.EVENT_READ, _Child(pid, pidfd, fds[3]))
            channel.send(b"%d" % pid)


def _take_streams(fds: list[int], children: list[_Child]) -> None:
    """In the fork: take the streams, and leave everything of the others."""
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    for fd in (*fds, *(fd for child in children for fd in (child.pidfd, child.ended))):
        os.close(fd)


def _reap(child: _Child) -> None:
    """Tell the exit code of a process that has ended."""
    _, status = os.waitpid(child.pid, 0)
    with contextlib.suppress(BrokenPipeError):  # nobody asks any more
        os.write(child.ended, b"%d" % os.waitstatus_to_exitcode(status))
    os.close(child.ended)
    os.close(child.pidfd)


def _run(request: dict[str, Any]) -> None:
    """Be `python -m MODULE ARGUMENTS`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path.insert(0, request["folder"])
    sys.argv = ["-m", *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
