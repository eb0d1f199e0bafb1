"""The error of a plugin that is refused."""

from __future__ import annotations

import os
import sysconfig
import traceback

_GATEWAY = os.path.join(os.path.dirname(__file__), "")
_STANDARD = sysconfig.get_path("stdlib")
_INSTALLED = sysconfig.get_path("purelib")


class PluginError(Exception):
    """A plugin that cannot be used. The message names it and says what is wanted."""


class MissingExtra(ModuleNotFoundError):
    """A plugin of headgate's own cannot be imported without an extra that is not installed."""

    def __init__(self, wanted: str, extra: str, module: str | None) -> None:
        """`wanted` is what the extra brings, `module` what was looked for."""
        self.remedy = f"pip install 'headgate[{extra}]'"
        super().__init__(f"expected {wanted}: {self.remedy}", name=module)


def told(error: BaseException) -> str:
    """Say what a plugin's own code raised, and where. Nothing but the text of a ValueError: it is meant to be read."""
    kind, text = type(error).__name__, error.msg if isinstance(error, SyntaxError) else str(error)
    if not isinstance(error, ValueError) or not text:
        text = f"{kind}: {text}"
    return text + place_of(error)


def place_of(error: BaseException) -> str:
    """Return ` (at file:line)`: the last step outside of Python's own library and of the gateway."""
    if isinstance(error, SyntaxError):
        return f" (at {error.filename}:{error.lineno})"
    steps = traceback.extract_tb(error.__traceback__)
    places = [f" (at {step.filename}:{step.lineno})" for step in steps if _is_theirs(step.filename)]
    return places[-1] if places else ""


def _is_theirs(file: str) -> bool:
    is_standard = file.startswith(_STANDARD) and not file.startswith(_INSTALLED)
    return not (is_standard or file.startswith(("<", _GATEWAY)))
