"""The table itself: its size, its sources, and that it can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from .case import Case
from .proxies import Proxy
from .raw_origin import RawOrigin
from .stand import Stand
from .table import CASES

BY_ID = {case.id: case for case in CASES}


def test_every_row_has_its_own_name_a_source_and_an_outcome() -> None:
    assert len(BY_ID) == len(CASES) >= 150
    assert not [case.id for case in CASES if not case.source or not case.outcomes or not case.sent]


@pytest.mark.parametrize(
    "case",
    [
        BY_ID["length/plus"],
        BY_ID["hop/connection-option"],
        BY_ID["forwarded/for"],
        BY_ID["answer/extra-answer"],
    ],
    ids=lambda case: case.id,
)
def test_a_row_fails_where_nothing_stands_in_front_of_the_origin(case: Case, tmp_path: Path) -> None:
    stderr = tmp_path / "stderr"
    stderr.touch()
    origin = RawOrigin()
    try:
        assert Stand(Proxy("none", origin.address, stderr), origin).play(case).startswith(case.id)
    finally:
        origin.close()
