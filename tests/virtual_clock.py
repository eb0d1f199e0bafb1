"""The virtual clock of the plugin kit, which most laws run on."""

from __future__ import annotations

from headgate.plugins.testing.virtual_clock import StandstillError, VirtualClockLoop, run

__all__ = ["StandstillError", "VirtualClockLoop", "run"]
