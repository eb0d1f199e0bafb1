"""One request on its way through the cache, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass

from ...proxy.exchange.exchange import Exchange
from ..cache.directives import Directives
from .asked import Asked
from .config import CompletionCacheRouteOptions
from .entry import Entry
from .filling import Filling


@dataclass(slots=True)
class Fetch:
    """What Cache-Status has to tell of a request that is forwarded. It knows no exchange: exchanges keep it."""

    why: str
    filling: Filling | None = None
    detail: str = ""
    is_answered: bool = False  # from what is stored, with its Cache-Status

    @property
    def parameters(self) -> str:
        """What became of the answer."""
        if self.filling is not None and self.filling.is_taking:
            return "; stored"
        detail = self.detail or (self.filling and self.filling.reason)
        return f"; detail={detail}" if detail else ""


@dataclass(slots=True)
class Lookup:
    """A request on its way through the cache. `stale` is an older answer that it may have in place of a failure."""

    exchange: Exchange
    options: CompletionCacheRouteOptions
    directives: Directives
    asked: Asked
    stale: Entry | None = None

    @property
    def is_renewing(self) -> bool:
        """Whether it wants a new answer."""
        return "no-cache" in self.directives

    @property
    def why(self) -> str:
        """Why it is forwarded, in the words of RFC 9211."""
        if self.is_renewing:
            return "request"
        return "uri-miss" if self.stale is None else "stale"
