"""The kit for tests of plugins: exchanges, stages as the gateway runs them, a small real gateway.

`headgate.plugins.testing.laws` holds what any cache and any limiter has to keep; it needs Hypothesis, which
`pip install headgate[testing]` brings.
"""

from __future__ import annotations

from .exchanges import HeldBody, make_exchange
from .gateway import Fetched, RunningGateway, Sent, gateway_with
from .instances import make_plugin
from .stage_run import StageRun, run_stage

__all__ = [
    "Fetched",
    "HeldBody",
    "RunningGateway",
    "Sent",
    "StageRun",
    "gateway_with",
    "make_exchange",
    "make_plugin",
    "run_stage",
]
