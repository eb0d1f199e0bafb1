"""The report: its plots, its page, and the table in the documentation."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from loadtests.report import docs_table
from loadtests.report.page import page, plots
from loadtests.report.svg import Axes, against, bars, lines, ticks
from loadtests.scenarios import SCENARIOS

AXES = Axes("a <title>", "s", "a second")


@pytest.mark.parametrize(
    ("most", "expected"),
    [(1.0, [0, 0.25, 0.5, 0.75, 1.0]), (90, [0, 25, 50, 75, 100]), (3, [0, 1, 2, 3]), (0, [0, 1])],
)
def test_ticks_are_round(most: float, expected: list[float]) -> None:
    assert ticks(most) == pytest.approx(expected)


def coordinates(svg: str) -> list[tuple[float, float]]:
    points = re.findall(r'points="([^"]*)"', svg)
    return [(float(x), float(y)) for part in points for x, y in (pair.split(",") for pair in part.split())]


def test_lines_lie_where_the_figures_say() -> None:
    svg = lines(AXES, {"up": [(0, 0), (5, 10), (10, 20)]}, [(5.0, "half")])
    ET.fromstring(svg)
    (x0, y0), (x1, y1), (x2, y2) = coordinates(svg)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and x1 > x0
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2) and y1 < y0
    assert "a &lt;title&gt;" in svg and "half (5.0 s)" in svg


def test_a_line_is_interrupted_where_there_is_no_figure() -> None:
    svg = lines(AXES, {"gap": [(0, 1), (1, math.nan), (2, 1)]})
    assert svg.count("<polyline") == 2 and "nan" not in svg


def test_what_is_above_an_axis_stays_in_the_picture() -> None:
    svg = lines(Axes("t", "s", "share", 1.0), {"much": [(0, 0.5), (1, 7.0)]})
    assert min(y for _, y in coordinates(svg)) >= 0


def test_the_knee_has_a_ring() -> None:
    svg = against(AXES, [(10, 50), (20, 55), (21, 300)], 1)
    ET.fromstring(svg)
    assert svg.count('r="8"') == 1 and ">knee<" in svg
    assert 'r="8"' not in against(AXES, [(10, 50)], None)


def test_bars_are_as_high_as_their_figures() -> None:
    svg = bars(Axes("t", "key", "share", 1.0), {"k1": 1.0, "k2": 0.5})
    ET.fromstring(svg)
    first, second = (float(found) for found in re.findall(r'height="([\d.]+)" fill', svg))
    assert first == pytest.approx(2 * second, abs=0.2)


def test_nothing_to_draw_is_drawn() -> None:
    for svg in (lines(AXES, {}), against(AXES, [], None), bars(AXES, {})):
        ET.fromstring(svg)


# -- the committed result


def committed() -> tuple[str, dict[str, Any]]:
    name = docs_table.named_result(docs_table.PAGE.read_text())
    found: dict[str, Any] = json.loads((docs_table.RESULTS / name).read_text())
    return name, found


def test_the_page_is_made_of_the_result_that_lies_beside_it() -> None:
    name, found = committed()
    assert (docs_table.RESULTS / name).with_suffix(".html").read_text() == page(found)


def test_the_documentation_shows_the_verdicts_of_the_result() -> None:
    name, found = committed()
    assert docs_table.shown(docs_table.PAGE.read_text()) == docs_table.section(name, found)


def test_every_scenario_has_its_place_in_the_result_and_in_the_documentation() -> None:
    _, found = committed()
    assert [one["name"] for one in found["scenarios"]] == list(SCENARIOS)
    text = docs_table.PAGE.read_text()
    assert all(f"| `{name}` |" in text for name in SCENARIOS)


def test_every_plot_is_well_formed_and_the_searches_show_their_knee() -> None:
    _, found = committed()
    for one in found["scenarios"]:
        for svg in plots(one):
            ET.fromstring(svg)
        assert bool(one["levels"]) is one["name"].startswith("saturate-")
        assert (">knee<" in page({**found, "scenarios": [one]})) is bool(one["levels"])


def test_what_was_missed_stands_on_the_page() -> None:
    _, found = committed()
    one = json.loads(json.dumps(found["scenarios"][0]))
    one["invalid"], one["verdict"] = ["the generator was <busy>"], "invalid"
    one["verdicts"][0] |= {"is_met": False, "seen": "17"}
    text = page({**found, "scenarios": [one]})
    assert "Invalid: the generator was &lt;busy&gt;." in text
    assert '<td>17</td><td class="no">no</td>' in text
    assert "the generator was <busy>" in docs_table.section("x.json", {**found, "scenarios": [one]})
