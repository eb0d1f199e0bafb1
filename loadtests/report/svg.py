"""Plots as SVG text: lines over time, one figure against another, bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 26, 34
_COLOURS = (
    *("#1b6ac9", "#c8412b", "#2a8a43", "#8b4fb8", "#b07a00", "#0b8a8f"),
    *("#6b6b6b", "#d0508f", "#7fb2ee", "#e9a196", "#98d0a8", "#cdb0e3"),
)
_NUM_TICKS = 4
_LEGEND_STEP = 14

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axes:
    """The titles of a plot."""

    title: str
    x: str
    y: str
    y_most: float | None = None  # the end of the axis, where it is not to follow the figures


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where figures lie in the picture."""

    x_least: float
    x_most: float
    y_most: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x_least) / (self.x_most - self.x_least) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = min(value / self.y_most, 1.0)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def lines(axes: Axes, series: Mapping[str, Points], marks: Points | Sequence[tuple[float, str]] = ()) -> str:
    """Draw figures over time; `marks` are instants at which something happened, with its name."""
    points = [point for values in series.values() for point in values]
    frame = _frame(axes, points)
    drawn = [_line(frame, values, _COLOURS[number % len(_COLOURS)]) for number, values in enumerate(series.values())]
    told = [_mark(frame, at, str(text)) for at, text in marks]
    return _picture(axes, [*_grid(frame), *told, *drawn, *_legend(list(series))])


def against(axes: Axes, points: Points, chosen: int | None) -> str:
    """Draw one figure against another, in order, with a ring around the point that was chosen."""
    frame = _frame(axes, [(0.0, 0.0), *points])
    dots = [f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3" fill="{_COLOURS[0]}"/>' for x, y in points]
    if chosen is not None:
        x, y = points[chosen]
        ring = f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="8" fill="none" stroke="{_COLOURS[1]}"/>'
        dots += [ring, _text(frame.x(x) + 11, frame.y(y) + 14, "knee", "start")]
    return _picture(axes, [*_grid(frame), _line(frame, points, _COLOURS[0]), *dots])


def bars(axes: Axes, values: Mapping[str, float]) -> str:
    """Draw one bar for each name."""
    frame = _frame(axes, [(0.0, 0.0), *((float(len(values)), value) for value in values.values())])
    step = (WIDTH - _LEFT - _RIGHT) / max(len(values), 1)
    drawn = []
    for number, (name, value) in enumerate(values.items()):
        left, top = _LEFT + number * step + 2, frame.y(value)
        size = f'width="{max(step - 4, 1):.1f}" height="{HEIGHT - _BOTTOM - top:.1f}"'
        drawn.append(f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{_COLOURS[0]}"/>')
        drawn.append(_text(left + step / 2 - 2, HEIGHT - _BOTTOM + 12, name, "middle"))
    return _picture(axes, [*_grid(frame, has_x=False), *drawn])


def ticks(most: float) -> list[float]:
    """Return round figures from 0 on, the last of them `most` or the next above."""
    if most <= 0:
        return [0.0, 1.0]
    raw = most / _NUM_TICKS
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * (1 - 1e-9))
    return [number * step for number in range(math.ceil(most / step - 1e-9) + 1)]


def _frame(axes: Axes, points: Points) -> _Frame:
    x_least = min((x for x, _ in points), default=0.0)
    x_most = max((x for x, _ in points), default=1.0)
    y_most = axes.y_most if axes.y_most is not None else max((y for _, y in points), default=1.0)
    return _Frame(min(x_least, 0.0), x_most if x_most > 0 else 1.0, ticks(y_most)[-1])


def _grid(frame: _Frame, *, has_x: bool = True) -> list[str]:
    drawn = []
    for value in ticks(frame.y_most):
        y = frame.y(value)
        drawn.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        drawn.append(_text(_LEFT - 5, y + 3, f"{value:g}", "end"))
    if has_x:
        drawn += [
            _text(frame.x(v), HEIGHT - _BOTTOM + 12, f"{v:g}", "middle")
            for v in ticks(frame.x_most)
            if v <= frame.x_most
        ]
    return drawn


def _line(frame: _Frame, points: Points, colour: str) -> str:
    """Draw a line through points; where figures are missing it is interrupted."""
    parts: list[list[str]] = [[]]
    for x, y in points:
        if math.isnan(y):
            parts.append([])
        else:
            parts[-1].append(f"{frame.x(x):.1f},{frame.y(y):.1f}")
    form = f'fill="none" stroke="{colour}" stroke-width="1.5"'
    return "".join(f'<polyline points="{" ".join(part)}" {form}/>' for part in parts if part)


def _mark(frame: _Frame, at: float, text: str) -> str:
    x = frame.x(at)
    form = f'x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" stroke="#999" stroke-dasharray="3 3"'
    return f"<line {form}><title>{escape(text)} ({at:.1f} s)</title></line>"


def _legend(names: Sequence[str]) -> list[str]:
    if len(names) < 2:
        return []
    drawn = []
    for number, name in enumerate(names):
        y = _TOP + 8 + number * _LEGEND_STEP
        colour = _COLOURS[number % len(_COLOURS)]
        drawn.append(f'<rect x="{WIDTH + 4}" y="{y - 7}" width="9" height="9" fill="{colour}"/>')
        drawn.append(_text(WIDTH + 17, y + 1, name, "start"))
    return drawn


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _picture(axes: Axes, drawn: Sequence[str]) -> str:
    middle = (HEIGHT + _TOP - _BOTTOM) / 2
    titles = [
        f'<text x="{_LEFT}" y="14" class="title">{escape(axes.title)}</text>',
        _text(WIDTH - _RIGHT, HEIGHT - 6, axes.x, "end"),
        f'<text transform="translate(11 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(axes.y)}</text>',
    ]
    size = f'viewBox="0 0 {WIDTH + 130} {HEIGHT}" width="{WIDTH + 130}" height="{HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join([*titles, *drawn])}</svg>'
