"""Compiled parts, each behind a facade with a pure-Python twin."""

import os
from importlib import import_module
from types import ModuleType

#: What can stand behind a facade in this process. HEADGATE_NO_EXTENSIONS, set to anything, leaves the twins alone.
IMPLEMENTATIONS: tuple[str, ...] = ("twin",) if os.environ.get("HEADGATE_NO_EXTENSIONS") else ("twin", "compiled")


def implementation(facade: str, which: str) -> ModuleType:
    """Import the module `which` (of IMPLEMENTATIONS) behind `facade`, for what compares them: tests and benchmarks.

    Raises: ModuleNotFoundError where the compiled one was not built.
    """
    return import_module(f"._{facade}_{'c' if which == 'compiled' else 'py'}", __name__)
