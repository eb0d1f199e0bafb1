"""The mutants themselves: one change each, none where no test could look; and the list of survivors is up to date."""

from __future__ import annotations

import os
import py_compile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from .__main__ import ROOT, known_survivors, put
from .mutants import mutants_of
from .watched import WATCHED
from .worker import KILLED, SURVIVED, TIMED_OUT, UNUSABLE, run_forked

SOURCE = '''"""A module."""

from enum import StrEnum


class Judge:
    """Judges."""

    __slots__ = ("limit",)

    def judge(self, number: int = 3) -> bool:
        """Judge a number."""
        if number < 0:
            raise ValueError("a number of at least 0")
        self.limit = State.HIGH
        self.forget(State.LOW)
        return not number or min(number, 2) == 1
'''


def changes(source: str) -> set[str]:
    return {mutant.name.replace("`", "") for mutant in mutants_of(source)}


def test_each_mutant_is_one_change_that_can_be_compiled() -> None:
    mutants = list(mutants_of(SOURCE))
    assert len({mutant.source for mutant in mutants}) == len(mutants) == len(changes(SOURCE))
    for mutant in mutants:
        compile(mutant.source, "mutant", "exec")
        lines = zip(mutant.source.splitlines(), SOURCE.splitlines(), strict=True)
        assert [line.strip() for line, other in lines if line != other] == [mutant.after]


def test_what_people_get_wrong_is_changed() -> None:
    assert changes(SOURCE) == {
        f"Judge.judge: {change}"
        for change in (
            "def judge(self, number: int=3) -> bool: -> def judge(self, number: int=4) -> bool:",
            "def judge(self, number: int=3) -> bool: -> def judge(self, number: int=2) -> bool:",
            "if number < 0: -> if number <= 0:",
            "if number < 0: -> if number >= 0:",
            "if number < 0: -> if number < 1:",
            "if number < 0: -> if number < -1:",
            "self.limit = State.HIGH -> pass",
            "self.limit = State.HIGH -> self.limit = State.LOW",
            "self.forget(State.LOW) -> pass",
            "self.forget(State.LOW) -> self.forget(State.HIGH)",
            "return not number or min(number, 2) == 1 -> return None",
            "return not number or min(number, 2) == 1 -> return not number and min(number, 2) == 1",
            "return not number or min(number, 2) == 1 -> return not number",
            "return not number or min(number, 2) == 1 -> return min(number, 2) == 1",
            "return not number or min(number, 2) == 1 -> return number or min(number, 2) == 1",
            "return not number or min(number, 2) == 1 -> return not number or max(number, 2) == 1",
            "return not number or min(number, 2) == 1 -> return not number or min(number, 3) == 1",
            "return not number or min(number, 2) == 1 -> return not number or min(number, 1) == 1",
            "return not number or min(number, 2) == 1 -> return not number or min(number, 2) == 2",
            "return not number or min(number, 2) == 1 -> return not number or min(number, 2) == 0",
            "return not number or min(number, 2) == 1 -> return not number or min(number, 2) != 1",
        )
    }


@pytest.mark.parametrize(
    ("before", "after"),
    (
        ("x += 1", "x -= 1"),
        ("x += 1", "pass"),
        ("y = a if b else c", "y = c if b else a"),
        ("y = a + b * c", "y = a - b * c"),
        ("y = a + b * c", "y = a + b / c"),
        ("y = 1 < a <= 2", "y = 1 <= a <= 2"),
        ("y = 1 < a <= 2", "y = 1 < a < 2"),
        ("y = a is None", "y = a is not None"),
        ("y = a in b", "y = a not in b"),
        ("y = True", "y = False"),
        ("y = 'a'", "y = 'ax'"),
        ("from a import ON, OFF, is_on\ny = ON", "from a import ON, OFF, is_on\ny = OFF"),
        ("from a import ON, OFF\ny = z is not OFF", "from a import ON, OFF\ny = z is not ON"),
        ("if a or b:\n    y()", "if a and b:\n    y()"),
        ("if a:\n    y()", "if not a:\n    y()"),
        ("if a:\n    y()\nelif b < c:  # why\n    z()", "if a:\n    y()\nelif b <= c:\n    z()"),
        ("y = [  # why\n    a < b,\n]\nz = 0", "y = [a <= b]\nz = 0"),
        ("for x in a:\n    while x:\n        y()  # why", "for x in a:\n    while not x:\n        y()  # why"),
    ),
)
def test_so_is(before: str, after: str) -> None:
    assert after in [mutant.source.rstrip() for mutant in mutants_of(before)]


@pytest.mark.parametrize(
    "source", ('"""Words."""', "import a", "__slots__ = ('a',)", "raise ValueError('a')", "return")
)
def test_nothing_is_changed_that_no_test_can_see(source: str) -> None:
    assert not changes(source)


def test_survivors_are_mutants_of_today() -> None:
    names = {(module, mutant.name) for module in WATCHED for mutant in mutants_of((ROOT / module).read_text())}
    assert known_survivors() <= names


@pytest.mark.parametrize(
    ("body", "fate"),
    (("assert True", SURVIVED), ("assert False", KILLED), ("import os; os._exit(7)", UNUSABLE)),
)
def test_a_fork_says_what_its_tests_said(tmp_path: Path, body: str, fate: str) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(f"def test_it():\n    {body}\n")
    assert run_forked([str(file), f"--rootdir={tmp_path}"]) == fate


def test_a_fork_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutation.worker.TIMEOUT_S", 0.5)
    file = tmp_path / "test_it.py"
    file.write_text("def test_it():\n    while True:\n        pass\n")
    assert run_forked([str(file), f"--rootdir={tmp_path}"]) == TIMED_OUT


def test_a_law_that_fails_is_not_made_to_fail_in_the_simplest_way(tmp_path: Path) -> None:
    file, log = tmp_path / "test_it.py", tmp_path / "log"
    file.write_text(
        "from hypothesis import given, strategies as st\n"
        "@given(st.lists(st.integers(0, 1000)))\n"
        "def test_it(numbers):\n"
        f"    with open({str(log)!r}, 'a') as log:\n"
        "        log.write('-' if sum(numbers) > 1000 else '+')\n"
        "    assert sum(numbers) <= 1000\n"
    )
    assert run_forked([str(file), f"--rootdir={tmp_path}"]) == KILLED
    tries = log.read_text()
    assert len(tries) - tries.index("-") <= 5, "it is tried again to tell of it, no more"


def test_what_was_compiled_of_one_mutant_is_not_taken_for_the_next(tmp_path: Path) -> None:
    """It was when a module was put back, and the next module's tests failed without a mutant."""
    path = tmp_path / "it.py"
    path.write_text("x = 1")
    before = path.stat()
    py_compile.compile(str(path))
    put(path, "x = 2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    spec = spec_from_file_location("it", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.x == 2
