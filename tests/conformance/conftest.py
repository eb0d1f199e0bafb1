"""The stand of the conformance tests: one raw origin and one proxy in front of it, per module.

`CONFORMANCE_PROXY=nginx` (or `haproxy`) puts that peer in headgate's place, to check the table itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .proxies import start
from .raw_origin import RawOrigin
from .stand import Stand


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A raw origin with the proxy under test in front of it."""
    origin = RawOrigin()
    try:
        name = os.environ.get("CONFORMANCE_PROXY", "headgate")
        with start(name, origin.address, tmp_path_factory.mktemp("proxy")) as proxy:
            yield Stand(proxy, origin)
    finally:
        origin.close()
