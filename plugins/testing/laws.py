"""What any cache and any limiter has to keep, as Hypothesis state machines.

A test derives a machine, says how the plugin is made and what bounds it, and hands its `TestCase` to the runner:

    class Mine(CacheMachine):
        max_used = 1_000_000
        def make(self): return make_plugin(MyCache, {"max_bytes": 1_000_000})
        def used(self): return self.plugin.used_bytes

    TestMine = Mine.TestCase
"""

from __future__ import annotations

from .cache_machine import CacheMachine
from .limiter_machine import LimiterMachine

__all__ = ["CacheMachine", "LimiterMachine"]
