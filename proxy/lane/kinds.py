"""What becomes of a field on its way through, by its name."""

from __future__ import annotations

from ...ext.lane import CHAINED, DROPPED, KEPT, TOLD_ID, TOLD_TRACE, WISH
from ..forwarded import is_ours
from ..http1.fields import HOP_BY_HOP
from ..upstream.continuation import FIELD

_NUMERICS = FIELD.lower()
_READ = {b"via": CHAINED, b"x-request-id": TOLD_ID, b"traceparent": TOLD_TRACE}


def kind_in_request(name: bytes) -> int:
    """Return what becomes of a client's field; `name` is in lower case."""
    if name.startswith(b"x-headgate-"):
        return WISH
    if name in _READ:
        return _READ[name]
    return DROPPED if is_ours(name) else KEPT


def kind_in_answer(name: bytes) -> int:
    """Return what becomes of a target's field; `name` is in lower case."""
    if name == _NUMERICS:
        return TOLD_ID
    is_dropped = name in HOP_BY_HOP or name == b"content-length" or name.startswith(b"x-headgate-")
    return DROPPED if is_dropped else KEPT
