"""The whole table, by topic."""

from __future__ import annotations

from .pairs_freshness import AGE, FRESHNESS
from .pairs_requests import CONDITIONS, HEADS, INVALIDATION, REQUEST
from .pairs_storing import AUTHORIZATION, STATUSES, STORING, VARYING
from .script import Case, Script
from .scripts_answers import DIRECTIVES, FIELDS, SPEAKS
from .scripts_selection import CHANGES, HEAD, PERMITTED, RANGES, VARIANTS
from .scripts_stale import IF_ERROR, MAX_STALE, WHILE
from .scripts_targeted import TARGETED
from .scripts_validation import CONDITIONAL, UPDATES

TOPICS: dict[str, list[Script]] = {
    "validation": CONDITIONAL,
    "freshening": UPDATES,
    "max-stale": MAX_STALE,
    "stale-while-revalidate": WHILE,
    "stale-if-error": IF_ERROR,
    "targeted": TARGETED,
    "directive": DIRECTIVES,
    "field": FIELDS,
    "cache-status": SPEAKS,
    "variant": VARIANTS,
    "head-renews": HEAD,
    "range": RANGES,
    "permission": PERMITTED,
    "change": CHANGES,
}
_PAIRS: dict[str, list[Case]] = {
    "storing": STORING,
    "status": STATUSES,
    "authorization": AUTHORIZATION,
    "vary": VARYING,
    "freshness": FRESHNESS,
    "age": AGE,
    "request": REQUEST,
    "condition": CONDITIONS,
    "head": HEADS,
    "invalidation": INVALIDATION,
}
ROWS: list[tuple[str, Script]] = [
    *((f"{topic}/{row.name}", row) for topic, rows in TOPICS.items() for row in rows),
    *((f"{topic}/{pair.name}", pair.script) for topic, pairs in _PAIRS.items() for pair in pairs),
]
