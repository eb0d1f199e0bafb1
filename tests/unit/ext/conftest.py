"""Runs each test on the twin and on the compiled one."""

from __future__ import annotations

from typing import cast

import pytest

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.route_table import RouteTable


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def table_type(request: pytest.FixtureRequest) -> type[RouteTable]:
    """The class under test. A compiled one that was not built is an error, never a skip."""
    return cast(type[RouteTable], implementation("route_table", request.param).RouteTable)
