"""The last tier: an older answer where no target has given one."""

from __future__ import annotations

from collections.abc import Callable

from ...proxy.errors import GatewayError, Source
from ...proxy.exchange.message import Response
from ...proxy.verdicts import Hit

_FAILURES = frozenset((429, 500, 502, 503, 504))


class Instead:
    """Has the last word on what the targets said: gives what `make_hit` makes where they have failed.

    `make_hit` is told what failed, as parameters of Cache-Status.
    """

    __slots__ = ("_make_hit",)

    def __init__(self, make_hit: Callable[[str], Hit | None]) -> None:
        self._make_hit = make_hit

    def __call__(self, found: Response | GatewayError) -> Hit | None:
        """Return an older answer in place of a failure."""
        if isinstance(found, Response):
            return self._make_hit(f"; fwd-status={found.status}") if found.status in _FAILURES else None
        kind = found.kind
        is_failure = kind.status in _FAILURES and kind.source is not Source.DOWNSTREAM and not kind.is_closing
        return self._make_hit("") if is_failure else None
