"""Every test is collected, and `make` runs every folder of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .tree import ROOT, python_files, tree_of


def names_of_tests(path: Path) -> list[str]:
    """Return what pytest takes for a test: functions, classes, and the `TestCase` of a state machine."""
    names = []
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in names if name.startswith(("test", "Test"))]


def is_collected(path: Path) -> bool:
    return path.name.startswith("test_")


def test_files_named_for_tests_hold_some_and_no_other_file_does() -> None:
    wrong = [str(path) for path in python_files("tests") if bool(names_of_tests(path)) != is_collected(path)]
    assert not wrong


def test_no_test_of_a_module_hides_another_of_the_same_name() -> None:
    for path in python_files("tests"):
        names = names_of_tests(path)
        assert len(names) == len(set(names)), path


def test_every_folder_of_tests_is_one_that_is_run() -> None:
    """`make test` runs all but what needs servers, a wheel, a device or a process of its own: those run alone."""
    recipes = (ROOT / "Makefile").read_text() + (ROOT / ".ci" / "wheel").read_text()
    left_out = set(re.findall(r"--ignore=tests/(\w+)", recipes))
    run_alone = set(re.findall(r"-q tests/(\w+) ", recipes))
    assert left_out == {"gpu", "kernels", "servers", "wheel"}
    folders = {path.parts[1] for path in python_files("tests") if len(path.parts) > 2}
    assert folders & left_out <= run_alone
    side_by_side = re.search(r"^test: .*?^else$", recipes, re.DOTALL | re.MULTILINE)
    assert side_by_side is not None
    assert folders - left_out == set(re.findall(r"\btests/(\w+)", side_by_side[0]))


def test_tests_are_plain_functions() -> None:
    """An `async def` test would never run: no plugin is there to await it."""
    assert not [
        f"{path}: {node.name}"
        for path in python_files("tests")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
