"""The process that sends: Locust, driven by a load in a file.

    python -m loadtests.generator LOAD BEGIN RECORDS

It reads the load, prints `ready`, waits until the file BEGIN holds the instant at which the run begins (of
CLOCK_MONOTONIC), and writes what it saw to RECORDS.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import count
from pathlib import Path

import gevent
from locust import events
from locust.env import Environment

from . import records
from .crowd import Crowd, Load, parse
from .users import USERS
from .users.open_user import OpenUser, Sending

READY = "ready"
_WAIT_S = 60.0
_LOOK_S = 0.01


def _begin_s(path: Path) -> float:
    for _ in range(round(_WAIT_S / _LOOK_S)):
        if path.exists() and (text := path.read_text()):
            return float(text)
        gevent.sleep(_LOOK_S)
    raise RuntimeError(f"expected an instant to begin at in {path.name} within {_WAIT_S:g} s, got none")


def _users_of(crowd: Crowd, sending: Sending, number: int) -> type[OpenUser]:
    """Make the class of a crowd's clients; Locust tells crowds apart by their class."""
    members = {
        "crowd": crowd,
        "sending": sending,
        "taken": count(),
        "host": sending.load.url,
        "fixed_count": len(crowd.keys),
    }
    return type(f"{crowd.kind.title()}{number}", (USERS[crowd.kind],), members)


def _send(load: Load, sending: Sending) -> None:
    """Let all clients send until the load is over and answered."""
    classes = [_users_of(crowd, sending, number) for number, crowd in enumerate(load.crowds)]
    environment = Environment(user_classes=classes, events=events, host=load.url, stop_timeout=load.grace_s)
    num_clients = sum(len(crowd.keys) for crowd in load.crowds)
    runner = environment.create_local_runner()
    runner.start(num_clients, spawn_rate=num_clients)
    gevent.sleep(max(load.seconds - sending.now_s(), 0.0))
    runner.quit()
    runner.greenlet.join()


def main() -> int:
    """Send one load."""
    load_path, begin_path, records_path = map(Path, sys.argv[1:])
    load = parse(json.loads(load_path.read_text()))
    print(READY, flush=True)
    sending = Sending(load, _begin_s(begin_path))
    gevent.sleep(max(sending.begin_s - time.monotonic() - 0.5, 0.0))  # clients are made before the run begins
    _send(load, sending)
    written = records_path.with_suffix(".part")
    with written.open("wb") as file:
        records.write(sending.records, file)
    written.rename(records_path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
