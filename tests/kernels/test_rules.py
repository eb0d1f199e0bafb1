"""The rules that every kernel keeps, read from its source."""

from __future__ import annotations

import ast
from pathlib import Path

import headgate.inference.kernels

FOLDER = Path(str(headgate.inference.kernels.__file__)).parent
ALLOWED = {"torch", "triton", "numpy", "__future__"}
STANDARD = {"collections", "dataclasses", "functools", "importlib", "json", "math", "os", "pathlib", "typing"}


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def test_products_go_through_the_one_dot() -> None:
    """tl.dot takes bf16 for integers in the interpreter, and rounds float32 to tf32 on a GPU."""
    found = [path.name for path in FOLDER.glob("*.py") for call in calls(path) if name_of(call) == "tl.dot"]
    assert set(found) == {"language.py"}


def test_a_masked_load_says_what_the_rest_is() -> None:
    """Without `other` it is 0 in the interpreter and anything on a GPU."""
    for path in FOLDER.glob("*.py"):
        for call in calls(path):
            names = {keyword.arg for keyword in call.keywords}
            if name_of(call) == "tl.load" and "mask" in names:
                assert "other" in names, f"{path.name}:{call.lineno}"


def test_a_launcher_allocates_what_shows_whether_it_was_written() -> None:
    forbidden = {"torch.zeros", "torch.zeros_like", "torch.full", "torch.ones"}
    for path in FOLDER.glob("*.py"):
        if not path.stem.endswith("_torch"):
            assert not [f"{path.name}:{call.lineno}" for call in calls(path) if name_of(call) in forbidden]


def test_a_launcher_never_waits_for_the_device() -> None:
    """Or it could neither be captured in a graph nor be compiled without a GPU."""
    waiting = (".item", ".tolist", ".cpu", ".numpy")
    for path in FOLDER.glob("*.py"):
        if not path.stem.endswith("_torch"):
            assert not [f"{path.name}:{call.lineno}" for call in calls(path) if name_of(call).endswith(waiting)]


def test_kernels_import_torch_and_triton_alone() -> None:
    """They have to run on a machine that has nothing else, and so has what picks them."""
    for path in (*FOLDER.glob("*.py"), FOLDER.parent / "ops.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(str(node.module))
            assert {name.partition(".")[0] for name in names} <= ALLOWED | STANDARD, path.name
