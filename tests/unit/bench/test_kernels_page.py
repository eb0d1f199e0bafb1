"""docs/kernels.md says what the kernels are held to, and shows the figures of a run."""

from __future__ import annotations

import pytest

from bench.kernels import NAMES
from bench.kernels.page import PAGE, _amount, loaded, named_result, section, shown
from bench.kernels.subjects import subjects


def test_the_page_shows_every_shape_as_it_is_and_the_figures_of_its_result() -> None:
    page = PAGE.read_text()
    found, failures = subjects(NAMES)
    assert not failures
    name = named_result(page)
    assert shown(page) == section(found, loaded(name), name), "run: python -m bench.kernels.page"
    for subject in found:
        assert f"[{subject.name}](../inference/kernels/{subject.name}.py)" in page


def test_a_result_gives_figures_and_says_what_it_was_made_on() -> None:
    found, _ = subjects(["rms_norm"])
    result = {
        "date": "2026-01-02",
        "machine": {"name": "a card", "driver": "1", "torch": "2", "triton": "3"},
        "ceilings": {"copy": 4.3e12, "bf16": 7.9e14},
        "times": [
            {"kernel": "rms_norm", "shape": found[0].shapes[0].name, "us": 12.34, "part": 0.5},
            {"kernel": "rms_norm", "shape": found[0].shapes[1].name, "us": "not measured"},
        ],
    }
    lines = section(found, result, "a.json").splitlines()
    assert "copy 4.30 TB/s, bf16 product 790 TFLOP/s" in lines[1]
    rows = [line for line in lines if line.startswith("| ")][1:]
    assert rows[0].endswith("| 12.3 us | 0.50 |")
    assert all(row.endswith("| not measured | - |") for row in rows[1:])
    assert named_result("\n".join(lines)) == "a.json"


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_500, "1 MB"), (2_340_000_000_000, "2.34 TB")],
)
def test_amounts_are_short(number: int, said: str) -> None:
    assert _amount(number, "B") == said
