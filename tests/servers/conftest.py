"""A Redis for the tests of one file, empty for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .running_redis import RunningRedis, running_redis


@pytest.fixture(scope="module")
def one_redis() -> Iterator[RunningRedis]:
    with running_redis() as running:
        yield running


@pytest.fixture
def shared(one_redis: RunningRedis) -> RunningRedis:
    with one_redis.client() as client:
        client.flushall()
    return one_redis
