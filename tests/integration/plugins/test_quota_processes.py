"""Accounts that several processes charge: exact together, and those that die take nothing with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from headgate.plugins.quota.amounts import Amounts
from headgate.plugins.quota.cells import num_bytes
from headgate.plugins.quota.ledger import Ask, Ledger
from headgate.plugins.quota.lock import BusyError
from headgate.proxy.counting import own_memory

from ...meta.tree import ROOT
from ..ext.hammer import at_once
from . import quota_hammer

NOW_S = 1_800_000_000


def test_workers_that_are_killed_at_any_moment_forget_nothing_and_lift_no_limit() -> None:
    command = [sys.executable, "-m", "tests.integration.plugins.quota_hammer"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["codes"] == [0] * quota_hammer.WORKERS
    assert told["ends"] == [-9] * quota_hammer.KILLS
    assert min(told["done"]) > quota_hammer.KILLS // quota_hammer.WORKERS
    for charged in told["charged"]:
        assert told["least"] <= charged <= min(told["least"] + told["most_lost"], quota_hammer.LIMIT)


def test_processes_that_ask_at_once_get_the_limit_and_no_more() -> None:
    memory = own_memory("", num_bytes(4))
    ask = Ask(b"a", "total", (1000, None, None))

    def take() -> None:
        ledger = Ledger(memory, 4)
        while True:
            try:
                if ledger.reserve([ask], Amounts(1, 1, 1), NOW_S).over:
                    return
            except BusyError:  # the machine is busy
                continue

    assert at_once([take] * 3) == [0] * 3
    ledger = Ledger(memory, 4)
    try:
        assert ledger.charged(b"a", "total", NOW_S) == Amounts(1000, 1000, 1000)
    finally:
        ledger.close()
        os.close(memory)
