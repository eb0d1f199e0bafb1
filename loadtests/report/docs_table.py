"""Puts the verdicts of a result into docs/load-testing.md.

python -m loadtests.report.docs_table loadtests/results/FILE.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
PAGE = _ROOT / "docs" / "load-testing.md"
RESULTS = _ROOT / "loadtests" / "results"
_BEGIN = "<!-- verdicts of "
_END = "<!-- end of verdicts -->"


def section(name: str, document: Mapping[str, Any]) -> str:
    """Return the part of the page that tells of a result, from its first mark to its last."""
    machine = document["machine"]
    versions = ", ".join(f"{package} {number}" for package, number in document["versions"].items())
    report = name.removesuffix(".json") + ".html"
    made = (
        f"[{name}](../loadtests/results/{name}), [its report](../loadtests/results/{report}), {document['date']}: "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; {versions}."
    )
    rows = [_row(one) for one in document["scenarios"]]
    head = ["| scenario | requests | verdict | used up first | not met |", "|---|---|---|---|---|"]
    lines = [f"{_BEGIN}{name}: written by `python -m loadtests.report.docs_table` -->", made, "", *head, *rows]
    return "\n".join([*lines, "", _END])


def named_result(text: str) -> str:
    """Return the name of the result that the page shows. Raises: ValueError for a page without."""
    begin = text.index(_BEGIN) + len(_BEGIN)
    return text[begin : text.index(":", begin)]


def shown(text: str) -> str:
    """Return the part of the page that `section` wrote. Raises: ValueError for a page without."""
    return text[text.index(_BEGIN) : text.index(_END) + len(_END)]


def _row(one: Mapping[str, Any]) -> str:
    missed = [f"{v['meaning']}: {v['seen']}, wanted {v['wanted']}" for v in one["verdicts"] if not v["is_met"]]
    cells = (
        one["name"],
        str(one["requests"]),
        one["verdict"],
        one["saturation"]["first"] or "nothing",
        "; ".join(one["invalid"] or missed) or "-",  # of a run that means nothing, why
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Write the page anew."""
    path = Path(sys.argv[1])
    page = PAGE.read_text()
    PAGE.write_text(page.replace(shown(page), section(path.name, json.loads(path.read_text()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
