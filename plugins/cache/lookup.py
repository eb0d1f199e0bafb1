"""One request on its way through the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...proxy.exchange.exchange import Exchange
from . import rules
from .asked import Asked
from .config import CacheRouteOptions
from .entry import Entry
from .filling import Filling
from .key import Key
from .vary import Selector


class Search(NamedTuple):
    """The second level is to be asked first, as the leader of a fetch of `key`; None: for one request alone."""

    key: tuple[object, ...] | None


@dataclass(slots=True)
class Lookup:
    """A request on its way through the cache. `why` is its reason to be forwarded, in the words of RFC 9211.

    `entry` is the stored answer that it selects, of the age `age_s`.
    """

    exchange: Exchange
    asked: Asked
    options: CacheRouteOptions
    key: Key
    selector: Selector
    why: str = ""
    entry: Entry | None = None
    age_s: float = 0.0
    is_collapsed: bool = False
    filling: Filling | None = None
    is_answered: bool = False  # from what is stored, with its Cache-Status

    @property
    def parameters(self) -> str:
        """What Cache-Status says of storing the answer, behind why the request was forwarded."""
        filling = self.filling
        if filling is None:
            return ""
        if filling.is_taking:
            return "; stored"
        return f"; detail={filling.reason}" if filling.reason is not None else ""

    def may_have_stale(self, entry: Entry) -> bool:
        """Whether it may be answered with a stale `entry` while another request fetches a newer one.

        Source: RFC 5861 §3.
        """
        return rules.is_usable_for(self.age_s, entry.lifetime_s, self.asked.directives, entry.staleness.revalidating_s)

    def may_have_instead(self, entry: Entry) -> bool:
        """Whether it may be answered with `entry` where no target can give an answer. Source: RFC 5861 §4."""
        directives, staleness = self.asked.directives, entry.staleness
        excess_s = max(staleness.if_error_s, directives.seconds("stale-if-error") or 0)
        age_s = entry.age_s(self.exchange.now())
        return not staleness.is_forbidden and rules.is_usable_for(age_s, entry.lifetime_s, directives, excess_s)
