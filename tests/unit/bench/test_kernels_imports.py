"""What measures the kernels runs on a machine that has torch with numpy, and Triton, and nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import bench.kernels
import bench.machine

FILES = [*Path(str(bench.kernels.__file__)).parent.glob("*.py"), Path(str(bench.machine.__file__))]
OTHERS = {"torch", "triton", "numpy", "bench"}


def imported(path: Path) -> set[str]:
    """Return what a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module))
    return found


def test_it_imports_torch_numpy_triton_and_the_standard_library_alone() -> None:
    allowed = OTHERS | sys.stdlib_module_names
    wrong = {
        path.name: names for path in FILES if (names := {n for n in imported(path) if n.split(".")[0] not in allowed})
    }
    assert not wrong


def test_of_ours_it_imports_only_what_does_the_same() -> None:
    ours = {name for path in FILES for name in imported(path) if name.split(".")[0] == "bench"}
    assert ours == {"bench.machine"}
