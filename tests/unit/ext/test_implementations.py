"""Which implementation stands behind the facade."""

from __future__ import annotations

import os
import subprocess
import sys

from headgate.ext import IMPLEMENTATIONS

SHOW = "from headgate.ext.route_table import RouteTable; print(RouteTable.__module__)"


def _module_shown(**environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "HEADGATE_NO_EXTENSIONS"}
    command = [sys.executable, "-W", "error", "-c", SHOW]
    done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def test_the_twin_stands_behind_the_facade_where_extensions_are_off() -> None:
    assert _module_shown(HEADGATE_NO_EXTENSIONS="1") == "headgate.ext._route_table_py"


def test_the_best_implementation_stands_behind_the_facade_elsewhere() -> None:
    best = {"compiled": "headgate.ext._route_table_c", "twin": "headgate.ext._route_table_py"}
    forced = {"HEADGATE_NO_EXTENSIONS": "1"} if IMPLEMENTATIONS == ("twin",) else {}
    assert _module_shown(**forced) == best[IMPLEMENTATIONS[-1]]


def test_both_implementations_are_tested_unless_extensions_are_off() -> None:
    are_off = bool(os.environ.get("HEADGATE_NO_EXTENSIONS"))
    expected = ["twin"] if are_off else ["twin", "compiled"]
    assert list(IMPLEMENTATIONS) == expected
