"""Bars as SVG: one panel a work, one bar a proxy, with the spread over the rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .figures import Spread

_WIDTH, _LABEL, _BAR_END, _ROW, _TITLE = 760, 120, 560, 18, 34
_COLOURS = {"nginx": "#7a8793", "haproxy": "#7a8793", "envoy": "#7a8793", "litellm": "#c08a3e", "portkey": "#c08a3e"}
_OURS = "#1f5fa8"


@dataclass(frozen=True, slots=True)
class Panel:
    """The bars of one work. `digits` of each figure are shown. `is_log`: lengths grow with the logarithm."""

    title: str
    bars: Sequence[tuple[str, Spread]]
    digits: int = 0
    is_log: bool = False

    @property
    def height(self) -> int:
        """Its pixels."""
        return _TITLE + _ROW * len(self.bars) + 8


def svg(label: str, panels: Sequence[Panel]) -> str:
    """Return a picture of panels below each other; `label` says what it shows."""
    height = sum(panel.height for panel in panels) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{escape(label)}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    top = 0
    for panel in panels:
        lines += _panel(panel, top)
        top += panel.height
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(panel: Panel, top: int) -> list[str]:
    lines = [f'<text x="8" y="{top + 24}" font-weight="bold">{escape(panel.title)}</text>']
    scale = _log_scale(panel) if panel.is_log else _linear_scale(panel)
    for number, (name, spread) in enumerate(panel.bars):
        lines += _bar(name, spread, top + _TITLE + _ROW * number, scale, panel.digits)
    return lines


class _Scale:
    """From a figure to a place on the line; figures outside are put at its ends."""

    def __init__(self, low: float, high: float, is_log: bool) -> None:
        self._is_log = is_log
        self._low, self._high = (math.log(low), math.log(high)) if is_log else (low, high)

    def __call__(self, value: float) -> float:
        if self._is_log:
            value = math.log(value) if value > 0 else self._low
        part = (value - self._low) / (self._high - self._low)
        return _LABEL + min(max(part, 0.0), 1.0) * (_BAR_END - _LABEL)


def _log_scale(panel: Panel) -> _Scale:
    """Begin at half of the least figure, so that its bar has a length."""
    least = min(spread.min for _, spread in panel.bars) / 2
    return _Scale(least, max(spread.max for _, spread in panel.bars), True)


def _linear_scale(panel: Panel) -> _Scale:
    return _Scale(0.0, max(spread.max for _, spread in panel.bars) or 1.0, False)


def _bar(name: str, spread: Spread, top: int, scale: _Scale, digits: int) -> list[str]:
    middle, colour = top + _ROW / 2, _COLOURS.get(name, _OURS)
    low, median, high = (scale(value) for value in (spread.min, spread.median, spread.max))
    figures = f"{spread.median:,.{digits}f} ({spread.min:,.{digits}f} to {spread.max:,.{digits}f})"
    return [
        f'<text x="{_LABEL - 6}" y="{middle + 4:.0f}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LABEL}" y="{top + 3}" width="{median - _LABEL:.1f}" height="{_ROW - 6}" fill="{colour}"/>',
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}" stroke="#222222"/>',
        f'<text x="{_BAR_END + 8}" y="{middle + 4:.0f}">{figures}</text>',
    ]
