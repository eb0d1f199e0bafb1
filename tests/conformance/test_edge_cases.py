"""HTTP/1.1 edge cases over raw sockets, against the gateway as a process of its own.

The rows are data (`table_*.py`): the bytes, the outcomes that are allowed, and the sentence that says so.
After each case one more request, on the same connection where it is open and on a new one, must be answered rightly.
"""

from __future__ import annotations

import pytest

from . import (
    table_answer_bodies,
    table_answer_heads,
    table_connection,
    table_fields,
    table_framing,
    table_request_line,
)
from .case import Case
from .stand import Stand

CASES: tuple[Case, ...] = (
    *table_request_line.CASES,
    *table_framing.CASES,
    *table_fields.CASES,
    *table_connection.CASES,
    *table_answer_heads.CASES,
    *table_answer_bodies.CASES,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_edge_case(stand: Stand, case: Case) -> None:
    report = stand.play(case)
    assert not report, report
