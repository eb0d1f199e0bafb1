"""Settings that hold for every test."""

from __future__ import annotations

import gc
import os

from hypothesis import settings

# No time limit per example: the machine that runs the tests may be busy. `ci` replays the same examples each time.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("soak", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_collection_finish() -> None:
    """Take what was found out of the sight of the garbage collector: whoever calls it would wait for that each time."""
    gc.collect()
    gc.freeze()
