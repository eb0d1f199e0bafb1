"""The cache core: values under keys within a budget of bytes, and which of them go first."""

import os
from typing import TYPE_CHECKING

from ._cache_facts import MAX_BYTES, MAX_STEPS, POLICIES, SWEPT_PER_PUT, Policy, Reason

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._cache_core_py import CacheCore
else:
    try:
        from ._cache_core_c import CacheCore
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._cache_core_py import CacheCore

__all__ = ["MAX_BYTES", "MAX_STEPS", "POLICIES", "SWEPT_PER_PUT", "CacheCore", "Policy", "Reason"]
