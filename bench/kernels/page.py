"""Puts the kernels into docs/kernels.md, with the figures of a run where there is one.

python -m bench.kernels.page [bench/results/FILE.json]
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import NAMES
from .figures import bound, target
from .report import NOT_MEASURED
from .spec import Shape
from .subjects import Subject, subjects

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kernels.md"
RESULTS = Path(__file__).resolve().parents[1] / "results"
_BEGIN = "<!-- kernels"
_END = "<!-- end of kernels -->"
_HEAD = "| shape | bytes | operations | floor | target | figure | part |"


def section(found: Sequence[Subject], result: Mapping[str, Any] | None, name: str = "") -> str:
    """Return the part of the page that tells of the kernels, from its first mark to its last."""
    lines = [f"{_BEGIN} {name}: written by `python -m bench.kernels.page` -->", _made(result, name)]
    for subject in found:
        link = f"[{subject.name}](../inference/kernels/{subject.name}.py)"
        lines += ["", f"**{link}**: {_first_line(subject.name)}", "", _HEAD, "|---|---|---|---|---|---|---|"]
        lines += [_row(subject.name, shape, result) for shape in subject.shapes]
    return "\n".join([*lines, "", _END])


def named_result(page: str) -> str:
    """Return the name of the result that the page shows; empty where it shows none."""
    begin = page.index(_BEGIN) + len(_BEGIN)
    return page[begin : page.index(":", begin)].strip()


def shown(page: str) -> str:
    """Return the part of the page that `section` wrote. Raises: ValueError for a page without."""
    return page[page.index(_BEGIN) : page.index(_END) + len(_END)]


def loaded(name: str) -> Mapping[str, Any] | None:
    """Return a result by its name; None for no name."""
    if not name:
        return None
    result: Mapping[str, Any] = json.loads((RESULTS / name).read_text())
    return result


def _made(result: Mapping[str, Any] | None, name: str) -> str:
    if result is None:
        return "No GPU was at hand yet: nothing is measured."
    machine, ceilings = result["machine"], result["ceilings"]
    return (
        f"[{name}](../bench/results/{name}), {result['date']}: {machine['name']}, driver {machine['driver']}, torch "
        f"{machine['torch']}, Triton {machine['triton']}. Ceilings of the same run: copy "
        f"{ceilings['copy'] / 1e12:.2f} TB/s, bf16 product {ceilings['bf16'] / 1e12:.0f} TFLOP/s."
    )


def _row(kernel: str, shape: Shape, result: Mapping[str, Any] | None) -> str:
    floor = "bytes / copy" if shape.is_bound_by_memory else f"operations / {bound(shape)} product"
    figure, part = _figure(kernel, shape, result)
    sizes = [_amount(shape.num_bytes, "B"), _amount(shape.num_flops, "")]
    cells = [shape.name, *sizes, floor, target(shape), figure, part]
    return f"| {' | '.join(cells)} |"


def _figure(kernel: str, shape: Shape, result: Mapping[str, Any] | None) -> tuple[str, str]:
    for row in result["times"] if result is not None else ():
        if row["kernel"] == kernel and row["shape"] == shape.name and isinstance(row.get("us"), float):
            return f"{row['us']:.1f} us", "-" if row["part"] is None else f"{row['part']:.2f}"
    return NOT_MEASURED, "-"


def _amount(number: int, unit: str) -> str:
    """Return a number in thousands, millions and so on."""
    value, prefixes = float(number), ["", "k", "M", "G", "T"]
    while value >= 999.5 and len(prefixes) > 1:
        value /= 1000
        prefixes.pop(0)
    return f"{value:.3g} {prefixes[0]}{unit}".rstrip()


def _first_line(kernel: str) -> str:
    """Return the first line of what a kernel's module says of itself, without importing it."""
    spec = find_spec(f"headgate.inference.kernels.{kernel}")
    text = Path(spec.origin).read_text() if spec is not None and spec.origin is not None else ""
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def main() -> int:
    """Write the page anew, with the result that is named or else the one that it shows."""
    page = PAGE.read_text()
    name = Path(sys.argv[1]).name if len(sys.argv) > 1 else named_result(page)
    found, failures = subjects(NAMES)
    if failures:
        print(f"expected to read every kernel, failed at {failures[0].item.kernel}: {failures[0].failure}")
        return 1
    PAGE.write_text(page.replace(shown(page), section(found, loaded(name), name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
