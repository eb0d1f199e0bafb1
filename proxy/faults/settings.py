"""What the upstream says and how fast, when nothing is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config.units import duration_text, parse_duration
from ..config.wording import did_you_mean, shown
from .catalogue import NAME
from .words import DEFAULT_TEXT, MAX_TOKENS, numbered_text

MAX_TEXT_BYTES = 2 << 20
_DURATIONS = ("delay", "pace", "hold")
NAMES = ("name", "text", "tokens", *_DURATIONS)


class SettingsError(ValueError):
    """A wrong setting. The message is one line: which, what came, and what was wanted."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds: `delay_s` to the first token, `pace_s` between tokens, `hold_s` for whatever waits."""

    name: str = "fault-upstream"
    text: str = DEFAULT_TEXT
    delay_s: float = 0.0
    pace_s: float = 0.0
    hold_s: float = 600.0

    def shown(self) -> dict[str, object]:
        """Return them as they may be set again."""
        times = {name: duration_text(getattr(self, f"{name}_s")) for name in _DURATIONS}
        return {"name": self.name, "text": self.text, **times}


def changed(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """Return the settings with `changes`, by the names of `NAMES`. Raises: SettingsError."""
    if "text" in changes and "tokens" in changes:
        raise SettingsError("got text and tokens, wanted one of them")
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name in _DURATIONS:
            values[f"{name}_s"] = _duration(name, value)
        elif name == "tokens":
            values["text"] = _numbered(value)
        elif name == "text":
            values["text"] = _text(value)
        elif name == "name":
            values["name"] = _name(value)
        else:
            raise SettingsError(f"got the setting {shown(name)}{did_you_mean(name, NAMES)}")
    return dataclasses.replace(settings, **values)


def _duration(name: str, value: object) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None
    if name == "hold" and not seconds:
        raise SettingsError("hold: got no time, wanted a duration above zero")
    return seconds


def _numbered(value: object) -> str:
    if type(value) is not int or not 0 <= value <= MAX_TOKENS:
        raise SettingsError(f"tokens: got {shown(value)}, wanted a whole number from 0 to {MAX_TOKENS}")
    return numbered_text(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"text: got {shown(value)}, wanted a text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise SettingsError("text: got what is not UTF-8, wanted UTF-8") from None
    if size > MAX_TEXT_BYTES:
        raise SettingsError(f"text: got {size} bytes, wanted at most {MAX_TEXT_BYTES}")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise SettingsError(f"name: got {shown(value)}, wanted at most 100 letters, digits and . _ : / @ + -")
    return value
