"""A proxy with a raw origin behind it, ready to play cases."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from .case import Case
from .judge import describe, faults
from .proxies import Proxy
from .raw_client import RawClient, fetch
from .raw_origin import RawOrigin


@dataclass(slots=True)
class Stand:
    """A proxy, the origin behind it, and what is needed to play cases on them."""

    proxy: Proxy
    origin: RawOrigin
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def play(self, case: Case) -> str:
        """Play one case; the report of what is wrong, empty where nothing is."""
        record = self.origin.expect(case.scripts)
        client = RawClient(self.proxy.address, case, record.begun)
        try:
            client.play()
            self.origin.settle()
            received = client.finish(next(self.numbers))
        finally:
            client.close()
        poison = fetch(self.proxy.address, next(self.numbers))
        found = faults(case, received, record, self.proxy.is_headgate)
        if poison is not None:
            found.append(poison)
        return describe(case, received, record, found) if found else ""
