"""Settings of the cache, right and wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headgate.plugins.cache import Cache


def test_defaults() -> None:
    config = Cache.Config()
    assert (config.max_bytes, config.max_entry_bytes, config.share) == (64 << 20, 4 << 20, "tenant")
    assert config.eviction == "s3fifo"
    assert config.single_flight
    assert not config.heuristic


def test_values_have_units() -> None:
    config = Cache.Config.model_validate({"max_bytes": "1MiB", "max_entry": "64KiB", "max_wait": "500ms"})
    assert (config.max_bytes, config.max_entry_bytes, config.max_wait) == (1 << 20, 64 << 10, 0.5)
    assert Cache.RouteOptions.model_validate({"default_ttl": "2m"}).default_ttl == 120


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"max_bytes": 100}, "65536"),
        ({"max_bytes": "1MiB", "max_entry": "512KiB"}, "at most a quarter of max_bytes: 262144"),
        ({"share": "some"}, "tenant"),
        ({"eviction": "lfu"}, "'lru', 'sieve' or 's3fifo'"),
        ({"max_wait": 0}, "greater than 0"),
        ({"max_wait": "1h"}, "300"),
        ({"max_variants": 0}, "greater than or equal to 1"),
        ({"max_followers": 0}, "greater than or equal to 1"),
        ({"normalise": ["cookie"]}, "accept"),
        ({"heuristic": 1}, "boolean"),
        ({"max_byte": 1}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Cache.Config.model_validate(settings)


def test_every_setting_is_described() -> None:
    for model in (Cache.Config, Cache.RouteOptions):
        assert all(field.description for field in model.model_fields.values())
