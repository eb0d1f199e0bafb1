"""One fault upstream for all tests, which begins each of them well and without memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .fault_process import FaultProcess, fault_process

TEXT = "The café in 東京 counts: one 🚀"


@pytest.fixture(scope="session")
def running() -> Iterator[FaultProcess]:
    with fault_process("--name", "heavy", "--text", TEXT) as served:
        yield served


@pytest.fixture
def faults(running: FaultProcess) -> FaultProcess:
    running.call("DELETE", "/faults")
    running.call("DELETE", "/requests")
    return running
