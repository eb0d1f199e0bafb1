"""What tests of the built-in plugins share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ...running import gateway
from ..openai.background import background
from .fan import Fan, config


@pytest.fixture(scope="module")
def fan() -> Iterator[Fan]:
    """One gateway for a module: each test gives it a configuration of its own."""
    with background() as loop, loop.holding(gateway(config([]), TOKEN="token")) as gate:
        yield Fan(loop, gate)
