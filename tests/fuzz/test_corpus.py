"""The inputs that the fuzzer has kept, run once more; and that each target would notice a part that reads otherwise."""

from __future__ import annotations

import pytest

from .engine import FOUND, TARGETS, kept, target

MOST_INPUTS = 300
MOST_BYTES = 150_000


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_kept_is_read_as_it_should_be(name: str) -> None:
    module = target(name)
    paths = kept(name)
    assert len(paths) > 10
    for path in paths:
        module.check(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_corpus_is_small(name: str) -> None:
    """What is found to be wrong is kept besides, whatever its size."""
    sizes = [path.stat().st_size for path in kept(name) if not path.name.startswith(FOUND)]
    assert len(sizes) <= MOST_INPUTS
    assert sum(sizes) <= MOST_BYTES
    assert max(sizes) <= target(name).MAX_BYTES
