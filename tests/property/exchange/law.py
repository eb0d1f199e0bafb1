"""A law: a function that reads the log of an exchange that has ended, and raises AssertionError where it is broken."""

from __future__ import annotations

from collections.abc import Callable

from .world import Run

Law = Callable[[Run], None]
LAWS: dict[str, Law] = {}


def law(function: Law) -> Law:
    """Add a law to those that every exchange is held to."""
    LAWS[function.__name__] = function
    return function
