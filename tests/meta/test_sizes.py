"""Modules and functions stay small enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .tree import ROOT, files, python_files, tree_of

MODULE_LINES = 350
EXTENSION_LINES = 250
FUNCTION_LINES = 40
REQUEST_PATH_LINES = 25
REQUEST_PATH = (
    "proxy/arrival.py",
    "proxy/gateway.py",
    "proxy/guards.py",
    "proxy/outgoing.py",
    "proxy/pipeline.py",
    "proxy/relay.py",
    "proxy/stages.py",
    "proxy/courses.py",
    "proxy/targets.py",
    "proxy/downstream/*.py",
    "proxy/exchange/*.py",
    "proxy/lane/*.py",
    "proxy/upstream/attempt.py",
    "proxy/upstream/cluster.py",
    "proxy/upstream/codec.py",
    "proxy/upstream/connection.py",
    "proxy/upstream/dispatch.py",
    "proxy/upstream/health/*.py",
    "proxy/upstream/pool.py",
    "proxy/upstream/sender.py",
    "proxy/upstream/wire.py",
)
# A name that says nothing gathers what has nothing in common.
EMPTY_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(node: ast.AST) -> Iterator[tuple[Function, int]]:
    """Yield every function with its lines, those of functions inside it left out."""
    for inner in ast.walk(node):
        if isinstance(inner, Function):
            yield inner, _lines(inner) - sum(map(_lines, _nested(inner)))


def _nested(node: ast.AST) -> Iterator[Function]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, Function):
            yield inner
        else:
            yield from _nested(inner)


def _lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_modules_are_short() -> None:
    limits = {".py": MODULE_LINES, ".pyx": EXTENSION_LINES, ".pxi": EXTENSION_LINES}
    long = [
        f"{path}: {number} lines, at most {limits[path.suffix]}"
        for path in files()
        if path.suffix in limits and (number := len((ROOT / path).read_text().splitlines())) > limits[path.suffix]
    ]
    assert not long, "\n".join(long)


def test_functions_are_short_and_shorter_on_the_way_of_a_request() -> None:
    fast = {path for pattern in REQUEST_PATH for path in ROOT.glob(pattern)}
    assert all(any(ROOT.glob(pattern)) for pattern in REQUEST_PATH)
    long = [
        f"{path}:{function.lineno}: {function.name} has {number} lines, at most {limit}"
        for path in python_files()
        for limit in [REQUEST_PATH_LINES if ROOT / path in fast else FUNCTION_LINES]
        for function, number in functions(tree_of(path))
        if number > limit
    ]
    assert not long, "\n".join(long)


def test_lines_of_a_function_are_counted_without_those_of_its_inner_ones() -> None:
    text = "def outer():\n    x = 1\n    def inner():\n        a = 1\n        return a\n    return x\n"
    assert {found.name: number for found, number in functions(ast.parse(text))} == {"outer": 3, "inner": 3}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [str(path) for path in files() if EMPTY_NAMES & {Path(part).stem for part in path.parts}]
