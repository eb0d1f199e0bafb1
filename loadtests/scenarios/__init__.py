"""The scenarios, by name."""

from __future__ import annotations

from .floods import ADDRESS_FLOODS, KEY_FLOODS
from .heavy_dies import HEAVY_DIES
from .herd import HERD
from .mixed import MIXED
from .overload import OVERLOAD
from .reload import RELOAD
from .saturate_pool import SATURATE_POOL
from .saturate_tiers import SATURATE_TIERS
from .scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        MIXED,
        SATURATE_POOL,
        SATURATE_TIERS,
        OVERLOAD,
        HEAVY_DIES,
        HERD,
        KEY_FLOODS,
        ADDRESS_FLOODS,
        RELOAD,
    )
}
