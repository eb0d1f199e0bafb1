"""The whole table."""

from __future__ import annotations

from . import (
    table_answer_bodies,
    table_answer_heads,
    table_connection,
    table_fields,
    table_framing,
    table_request_line,
)
from .case import Case

CASES: tuple[Case, ...] = (
    *table_request_line.CASES,
    *table_framing.CASES,
    *table_fields.CASES,
    *table_connection.CASES,
    *table_answer_heads.CASES,
    *table_answer_bodies.CASES,
)
