"""Prices as people read them."""

from __future__ import annotations

from collections.abc import Iterator

from .measure import Price, RoutePrices

_MOST_NAMED = 3


def lines_of(found: RoutePrices) -> Iterator[str]:
    """Yield the lines that tell what the plugins of a route cost."""
    num = sum(found.statuses.values())
    answered = ", ".join(f"{count / num:.0%} {status}" for status, count in sorted(found.statuses.items()))
    where = "in the lane" if found.is_inline else "not in the lane"
    yield f"route {found.route}{_alike(found.alike)}: {where}, answered {answered}"
    if found.error:
        yield f"  ended by {found.error}"
    yield f"  {found.with_all_us:.1f} µs an exchange with all plugins, {found.without_any_us:.1f} µs without any"
    width = max(len(name) for name in ("plugin", *(price.plugin for price in found.prices), *found.unused))
    yield f"  {'plugin':<{width}}  {'µs':>8}  {'middle half':>17}  {'least':>8}  {'with/without':>12}  stages"
    yield from (_line(price, width) for price in found.prices)
    yield from (f"  {name:<{width}}  was not called" for name in found.unused)


def _line(price: Price, width: int) -> str:
    spread, stages = f"{price.low_us:.1f} to {price.high_us:.1f}", ", ".join(price.stages)
    figures = f"{price.us:8.1f}  {spread:>17}  {price.least_us:8.1f}  {price.ratio:12.2f}"
    return f"  {price.plugin:<{width}}  {figures}  {stages}"


def _alike(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f" (and {shown}{f' and {more} more' if more > 0 else ''}, which are alike)"
