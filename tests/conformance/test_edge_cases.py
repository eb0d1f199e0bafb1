"""HTTP/1.1 edge cases over raw sockets, against the gateway as a process of its own.

The rows are data (`table_*.py`): the bytes, the outcomes that are allowed, and the sentence that says so.
Where a source leaves a choice, a row lists several outcomes; where it bears on security there is one.
For every row these hold besides:

- what reaches the origin and what reaches the client is well-formed, each message with one framing;
- one more request is answered rightly, on the same connection where it is open, and on a new one;
- no request reaches the origin that the row does not name, and none is left half-open there;
- every answer has its request id, every error is a problem document, every request its forwarded fields;
- nobody can cause a traceback.

`CONFORMANCE_PROXY=nginx` or `haproxy` puts that program in the gateway's place: a row that all peers fail is suspect.
"""

from __future__ import annotations

import pytest

from .case import Case
from .stand import Stand
from .table import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_edge_case(stand: Stand, case: Case) -> None:
    report = stand.play(case)
    assert not report, report
