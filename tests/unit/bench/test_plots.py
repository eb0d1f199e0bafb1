"""A bar is as long as its figure."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from bench.figures import Spread
from bench.plots import Panel, svg

SVG = "{http://www.w3.org/2000/svg}"


def widths(picture: str) -> list[float]:
    bars = ElementTree.fromstring(picture).iter(f"{SVG}rect")
    return [float(bar.attrib["width"]) for bar in bars if bar.attrib["fill"] != "#ffffff"]


def test_bars_are_in_proportion() -> None:
    one, two, four = widths(svg("x", [Panel("x", [(str(n), Spread(n, n, n)) for n in (1, 2, 4)])]))
    assert (two, four) == (2 * one, 4 * one)


def test_logarithmic_bars_grow_alike_for_each_doubling() -> None:
    one, two, four = widths(svg("x", [Panel("x", [(str(n), Spread(n, n, n)) for n in (1, 2, 4)], is_log=True)]))
    assert one > 0 and abs((four - two) - (two - one)) < 0.2


def test_figures_below_nothing_have_no_bar() -> None:
    assert widths(svg("x", [Panel("x", [("a", Spread(-2, -1, 1)), ("b", Spread(1, 2, 3))])]))[0] == 0


def test_a_bar_has_its_name_its_figures_and_its_spread() -> None:
    picture = svg("<all>", [Panel("a & b", [("nginx", Spread(10, 20, 40))], digits=1)])
    texts = [text.text for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]
    assert texts == ["a & b", "nginx", "20.0 (10.0 to 40.0)"]
    (line,) = ElementTree.fromstring(picture).iter(f"{SVG}line")
    assert float(line.attrib["x1"]) < float(line.attrib["x2"])


def test_everything_is_inside_of_the_picture() -> None:
    panels = [Panel("x", [(name, Spread(1, 2, 3)) for name in "abc"]) for _ in range(4)]
    picture = svg("x", panels)
    height = float(re.search(r'viewBox="0 0 \d+ (\d+)"', picture)[1])  # type: ignore[index]
    assert all(float(y) < height for y in re.findall(r' y="([\d.]+)"', picture))
    assert picture.count("<rect") == 1 + 12
