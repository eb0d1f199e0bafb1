"""Prices of the built-in plugins: every case does what it says, and the pages show what was measured."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path

import pytest

from bench import plugins
from bench.plugin_cases import cases
from bench.plugins import MARK, PAGES, RESULTS, by_plugin, line_of, measure, with_line, with_lookups
from headgate.proxy.prices.measure import Effort

PLUGINS = (
    *("api_key", "jwt", "rate_limit", "quota", "model_route", "canary", "mirror", "aggregate", "cache", "headers"),
    *("transform", "transform_body", "prompt_guard"),
)
ENTRIES = [
    {"plugin": "one", "case": "a hit", "us": 12.34, "lookups": 300},
    {"plugin": "two", "case": "anything", "us": 1.0, "lookups": 20},
    {"plugin": "one", "case": "a miss", "us": 56.78, "lookups": 1500},
]


def results() -> list[Path]:
    return sorted(RESULTS.glob("plugins-*.json"))


@pytest.mark.parametrize("plugin", PLUGINS)
def test_each_case_is_measured_and_its_exchanges_go_as_they_are_to(plugin: str, tmp_path: Path) -> None:
    async def main() -> int:
        mine = [case for case in cases(tmp_path) if case.plugin == plugin]
        for case in mine:
            price = await measure(case, Effort(2, 5))
            assert price.plugin == plugin
            assert set(price.stages) == {stage for stage, names in case.stages.items() if plugin in names}
        return len(mine)

    assert asyncio.run(main()) >= 1


def test_a_case_that_goes_otherwise_is_no_figure(tmp_path: Path) -> None:
    case = next(case for case in cases(tmp_path) if case.plugin == "api_key")
    other = type(case)("api_key", "no key", lambda number: case.requests(10**9).altered({"Authorization": "x"}, None))
    wrong = type(case)(**{name: getattr(case, name) for name in case.__slots__} | {"requests": other.requests})
    with pytest.raises(ValueError, match=r"expected only 200, got \{401: 4\}: unauthenticated"):
        asyncio.run(measure(wrong, Effort(2, 2)))


def test_the_line_of_a_page() -> None:
    line = line_of("f.json", [ENTRIES[0], ENTRIES[2]])
    assert line.startswith(MARK) and "(../../bench/results/f.json)" in line
    assert line.endswith(
        ": 12.3 µs, 300 times a look-up in a dict in the same run, for a hit; 56.8 µs, 1,500 times, for a miss."
    )
    assert with_line(f"# one\n\n{MARK}: old\n\nrest\n", line) == f"# one\n\n{line}\n\nrest\n"
    for page in ("# one\n", f"{MARK}\n{MARK}\n"):
        with pytest.raises(ValueError, match=r"expected one line that begins with 'Price of a request', got [02]"):
            with_line(page, line)


def test_look_ups_are_counted_in_the_least_that_one_took() -> None:
    assert with_lookups([{"us": 12.0}, {"us": 0.5}], 40.004) == {
        "lookup_ns": 40.0,
        "prices": [{"us": 12.0, "lookups": 300}, {"us": 0.5, "lookups": 12}],
    }


def test_entries_stand_by_plugin_in_their_order() -> None:
    assert dict(by_plugin({"prices": ENTRIES})) == {"one": [ENTRIES[0], ENTRIES[2]], "two": [ENTRIES[1]]}


def test_figures_are_written_into_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "PAGES", tmp_path)
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"prices": ENTRIES}))
    for name in ("one", "two"):
        (tmp_path / f"{name}.md").write_text(f"{MARK}\n")
    assert plugins.main(["--write", str(file)]) == 0
    assert (tmp_path / "two.md").read_text() == line_of("figures.json", [ENTRIES[1]]) + "\n"


def test_the_pages_show_the_prices_that_were_measured_last() -> None:
    newest = results()[-1]
    prices = dict(by_plugin(json.loads(newest.read_text())))
    shown = {
        page.stem: [line for line in page.read_text().split("\n") if line.startswith(MARK)]
        for page in PAGES.glob("*.md")
    }
    assert {name: lines for name, lines in shown.items() if lines} == {
        name: [line_of(newest.name, entries)] for name, entries in prices.items()
    }


def test_figures_are_of_cases_that_there_are(tmp_path: Path) -> None:
    names = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    built_in = names["project"]["entry-points"]["headgate.plugins"]
    known = [(case.plugin, case.title) for case in cases(tmp_path)]
    newest = json.loads(results()[-1].read_text())
    assert [(entry["plugin"], entry["case"]) for entry in newest["prices"]] == known
    assert with_lookups(newest["prices"], newest["lookup_ns"])["prices"] == newest["prices"]
    assert tuple(dict.fromkeys(plugin for plugin, _ in known)) == PLUGINS
    assert set(PLUGINS) <= set(built_in)
