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
    read_bytes: int = 0

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
        self.origin.quiesce()
        found = faults(case, received, record, self.proxy.is_headgate)
        if poison is not None:
            found.append(poison)
        found += self._tracebacks()
        return describe(case, received, record, found) if found else ""

    def _tracebacks(self) -> list[str]:
        """The gateway's tracebacks since the last look: no client and no upstream may cause one."""
        with self.proxy.stderr.open("rb") as stderr:
            stderr.seek(self.read_bytes)
            text = stderr.read()
        self.read_bytes += len(text)
        return [f"the proxy's stderr: {text[-1500:].decode(errors='replace')}"] if b"Traceback" in text else []
