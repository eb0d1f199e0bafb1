"""Runs the mutants of pure modules against the tests that watch over them: `python -m tests.mutation [module ...]`.

Each mutant runs in a copy of the tree, two at a time. A mutant that no test notices has survived: `survivors.md` lists
those that are known, each with the reason why no test can tell it from the module; they count as survivors without
being run. Fails where there is another one, or where fewer mutants are noticed than `NOTICED_AT_LEAST`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from .mutants import Mutant, mutants_of
from .watched import WATCHED
from .worker import KILLED, SURVIVED, UNUSABLE

ROOT = Path(__file__).parents[2]
SURVIVORS = Path(__file__).with_name("survivors.md")
WORKERS = 2
NOTICED_AT_LEAST = 0.95
COPIED = ("ext", "proxy", "plugins", "tests", "__init__.py", "pyproject.toml")


def put(path: Path, source: str) -> None:
    """Write a module, and forget what was compiled of it: two mutants may have one size and one second."""
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_text(source)


class Tree:
    """A copy of the tree below `folder`, with a process that runs tests in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "headgate"
        self.root.mkdir(parents=True)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.root / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
            else:
                shutil.copy(source, self.root / name)
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.worker"],
            cwd=self.root,
            env={"PYTHONPATH": str(folder), "CI": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def try_out(self, module: str, source: str, tests: tuple[str, ...]) -> str:
        """Run tests with a module changed. Raises: RuntimeError where they cannot be run."""
        put(self.root / module, source)
        assert self._worker.stdin is not None and self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(tests) + "\n")
        self._worker.stdin.flush()
        fate = self._worker.stdout.readline().strip()
        if fate in ("", UNUSABLE):
            raise RuntimeError(f"expected tests to run in {self.root}: {' '.join(tests)}")
        return fate

    def close(self) -> None:
        """End the process."""
        self._worker.communicate()


def judge(module: str, tests: tuple[str, ...], trees: SimpleQueue[Tree]) -> list[tuple[Mutant, str]]:
    """Run every mutant of a module. Returns each with what became of it.

    Raises: RuntimeError where the tests fail without any mutant.
    """
    source = (ROOT / module).read_text()

    def fate(changed: str) -> str:
        tree = trees.get()
        try:
            return tree.try_out(module, changed, tests)
        finally:
            put(tree.root / module, source)
            trees.put(tree)

    if fate(source) != SURVIVED:
        raise RuntimeError(f"expected the tests of {module} to pass without a mutant: {' '.join(tests)}")
    known = known_survivors()
    mutants = list(mutants_of(source))
    unknown = [mutant for mutant in mutants if (module, mutant.name) not in known]
    fates = [(mutant, SURVIVED) for mutant in mutants if (module, mutant.name) in known]
    with ThreadPoolExecutor(WORKERS) as pool:
        for mutant, became in zip(unknown, pool.map(lambda mutant: fate(mutant.source), unknown), strict=True):
            fates.append((mutant, became))
            if became != KILLED:
                print(f"  {len(fates)} of {len(mutants)}, {module}:{mutant.line}, {became}: {mutant.name}", flush=True)
    return fates


def known_survivors() -> set[tuple[str, str]]:
    """Return what `survivors.md` lists: modules, and names of mutants."""
    found, module = set(), ""
    for line in SURVIVORS.read_text().splitlines():
        if heading := re.fullmatch(r"## `(.+)`", line):
            module = heading[1]
        elif name := re.fullmatch(r"- (.*: `.+` -> `.+`)", line):
            found.add((module, name[1]))
    return found


def report(module: str, fates: list[tuple[Mutant, str]]) -> bool:
    """Print what became of a module's mutants. Returns whether enough were noticed, and no unknown one survived."""
    known = known_survivors()
    counts = Counter(fate for _, fate in fates)
    share = 1 - counts[SURVIVED] / len(fates)
    print(f"{module}: {', '.join(f'{number} {fate}' for fate, number in counts.items())}; {share:.1%} noticed")
    unknown = [mutant for mutant, fate in fates if fate == SURVIVED and (module, mutant.name) not in known]
    for mutant in unknown:
        print(f"  not in {SURVIVORS.name}: {mutant.name}")
    return share >= NOTICED_AT_LEAST and not unknown


def main(modules: list[str]) -> int:
    """Run the mutants of the named modules, or of all that are watched."""
    wrong = set(modules) - set(WATCHED)
    if wrong:
        print(f"expected modules of {', '.join(WATCHED)}; got {', '.join(sorted(wrong))}")
        return 2
    begun_at = time.monotonic()
    is_good = True
    with tempfile.TemporaryDirectory() as folder:
        all_trees = [Tree(Path(folder) / str(number)) for number in range(WORKERS)]
        trees: SimpleQueue[Tree] = SimpleQueue()
        for tree in all_trees:
            trees.put(tree)
        for module in modules or WATCHED:
            is_good &= report(module, judge(module, WATCHED[module], trees))
        for tree in all_trees:
            tree.close()
    print(f"{time.monotonic() - begun_at:.0f} s")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
