"""The cache against RFC 9111, RFC 5861 and RFC 9213, sentence by sentence."""

from __future__ import annotations

import pytest

from ...unit.plugins.cache.stand import Origin
from ...virtual_clock import run
from .play import play
from .script import Script, Step, fill
from .table import ROWS

TABLE = dict(ROWS)


@pytest.mark.parametrize("name", TABLE)
def test_cache_does_what_the_sentence_says(name: str) -> None:
    assert not run(play(TABLE[name]))


def test_table_names_each_row_once_with_its_source() -> None:
    assert len(TABLE) == len(ROWS) >= 400
    assert all(row.source and row.steps for row in TABLE.values())


@pytest.mark.parametrize(
    "step",
    [
        Step("hit", body=b"other"),
        Step("forwarded"),
        Step("hit", shows=(("Age", "1"),)),
        Step("hit", status=404),
        Step("hit", sent=(("If-None-Match", ""),)),
        Step("hit", asked=1),
    ],
    ids=lambda step: repr(step)[:60],
)
def test_a_row_that_is_wrong_is_found_out(step: Step) -> None:
    assert run(play(Script("wrong", "nowhere", (fill(Origin()), step))))
