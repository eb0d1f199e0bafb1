"""Who may import whom, and that every module can be imported by itself."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from .tree import FOLDERS, Import, all_imports, modules, python_files, runtime_imports, tree_of

# folder -> the folders of ours that it may import
ALLOWED = {
    "ext": {"ext"},
    "proxy": {"proxy", "ext"},
    "plugins": {"plugins", "proxy", "ext"},
    "inference": {"inference"},
    "demo": {"demo"},
}
# Pure code is given the time, randomness and bytes.
IMPURE = {"aiohttp", "asyncio", "os", "random", "secrets", "select", "socket", "ssl", "threading", "time", "uvloop"}
PURE = [
    name
    for name in modules()
    if (
        name.startswith(("headgate.proxy.exchange.", "headgate.proxy.http1.", "headgate.proxy.upstream.health."))
        and name != "headgate.proxy.upstream.health.active_check"
    )
    or name == "headgate.ext._gcra"
]
# Imports each of [name, what its imports load] where nothing else of ours seems loaded. What stands before it stays
# loaded: to import that anew for each would take a minute.
IMPORT_EACH = """
import importlib, json, sys

def show(names):
    known.update({name: sys.modules.pop(name) for name in [*sys.modules] if name.startswith("headgate.")})
    for name in known:
        vars(parent_of(name)).pop(name.rpartition(".")[2], None)
    for name in sorted(known.keys() & set(names)):
        sys.modules[name] = known[name]
        setattr(parent_of(name), name.rpartition(".")[2], known[name])

def parent_of(name):
    parent = name.rpartition(".")[0]
    return known.get(parent) or sys.modules[parent]

wrong, known = {}, {}
for name, needed in json.load(sys.stdin):
    show(needed)
    try:
        importlib.import_module(name)
    except BaseException as error:
        wrong[name] = repr(error)
print(json.dumps(wrong))
"""


def where(found: Import) -> str:
    return f"{modules()[found.module]}:{found.line}: {found.module} imports {found.target}"


def folder_of(name: str) -> str:
    return name.split(".")[1]


def test_the_tree_is_seen_whole() -> None:
    assert {folder_of(name) for name in modules()} == set(FOLDERS) == set(ALLOWED)
    assert {"headgate.proxy.exchange.machine", "headgate.proxy.http1.fields", "headgate.ext._gcra"} <= set(PURE)


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_only_what_stands_below_them(folder: str) -> None:
    wrong = [
        where(found)
        for name in modules()
        if folder_of(name) == folder
        for found in all_imports(name)
        if found.target.startswith("headgate.") and folder_of(found.target) not in ALLOWED[folder]
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_of_ours_are_imported_relatively() -> None:
    """An absolute import would make a second identity possible, as `proxy.x` beside `headgate.proxy.x`."""
    wrong = [
        f"{path}:{node.lineno}: expected a relative import"
        for path in python_files(*FOLDERS)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
        if name.partition(".")[0] in {"headgate", *FOLDERS}
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", FOLDERS)
def test_modules_import_each_other_in_no_circle(folder: str) -> None:
    graph = {
        name: {found.target for found in runtime_imports(name) if found.target in modules()} - {name}
        for name in modules()
        if folder_of(name) == folder
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("circle: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_reach_no_clock_no_chance_and_no_socket(name: str) -> None:
    """Nor do the modules of ours that they import."""
    seen, waiting, wrong = set[str](), [name], list[str]()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for found in runtime_imports(current):
            if found.target in modules():
                waiting.append(found.target)
            elif found.target == "os" and folder_of(current) == "ext":
                continue  # a facade asks the environment, once, which of its two implementations it is
            elif found.target.partition(".")[0] in IMPURE:
                wrong.append(where(found))
    assert not wrong, "\n".join(wrong)


@cache
def reached_from(name: str) -> frozenset[str]:
    """Return the modules of ours that importing `name` loads, itself among them."""
    found, waiting = set[str](), [name]
    while waiting:
        current = waiting.pop()
        if current in modules() and current not in found:
            found.add(current)
            waiting += [current.rpartition(".")[0], *(each.target for each in runtime_imports(current))]
    return frozenset(found)


def first_imports() -> list[tuple[str, list[str]]]:
    """Return each module with what is loaded before it runs, behind what it needs.

    A module that its package imports is left out: whoever imports it imports the package first.
    """
    needed = {
        name: [each for each in reached_from(name) if name not in reached_from(each)]
        for name in modules()
        if name not in reached_from(name.rpartition(".")[0])
    }
    return sorted(needed.items(), key=lambda item: len(item[1]))


def test_every_module_can_be_imported_first(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", IMPORT_EACH]
    done = subprocess.run(
        command,
        input=json.dumps(first_imports()),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=55,
        check=True,
    )
    assert json.loads(done.stdout) == {}
