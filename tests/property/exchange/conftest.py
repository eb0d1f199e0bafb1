"""Worlds played once for all tests here."""

from __future__ import annotations

import pytest

from .scenario import seeded
from .world import Run, play

SEEDS = 3000


@pytest.fixture(scope="session")
def worlds() -> list[Run]:
    """Return seeded worlds, each played to its end."""
    return [play(seeded(seed)) for seed in range(SEEDS)]
