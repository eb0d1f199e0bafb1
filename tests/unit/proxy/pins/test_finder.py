"""Of a pinned distribution nothing is run but the bytes that were checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .installs import FILES, install

# Holds what is installed in a folder, then does what is told in between, then imports.
PROGRAM = """
import sys
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path
from headgate.proxy.pins.content import content_of
from headgate.proxy.pins.finder import PinnedFinder
base = Path(sys.argv[1])
sys.path.insert(0, str(base))
(distribution,) = distributions(path=[str(base)])
finder = PinnedFinder()
finder.hold([content_of(distribution)])
MEANWHILE
try:
    print("got", import_module(sys.argv[2]).WORD)
except ImportError as error:
    print("refused", error)
"""
MANY = {**FILES, "greeting/later.py": b"WORD = 'later'\n"}


def imported(base: Path, name: str = "greeting", meanwhile: str = "") -> str:
    program = PROGRAM.replace("MEANWHILE", meanwhile)
    done = subprocess.run(
        [sys.executable, "-c", program, str(base), name], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_was_checked_is_imported(tmp_path: Path) -> None:
    install(tmp_path, MANY)
    assert imported(tmp_path) == "got hello"
    assert imported(tmp_path, "greeting.later") == "got later"


def test_what_has_changed_since_is_refused(tmp_path: Path) -> None:
    install(tmp_path, MANY)
    change = "(base / 'greeting' / 'later.py').write_text('WORD = 1')"
    assert imported(tmp_path, "greeting.later", change).startswith(
        "refused expected a file as pinned with greeting 1.2"
    )


def test_what_came_since_is_refused(tmp_path: Path) -> None:
    install(tmp_path, MANY)
    come = "(base / 'greeting' / 'new.py').write_text('WORD = 1')"
    assert imported(tmp_path, "greeting.new", come).startswith("refused expected a file as pinned with greeting 1.2")


def test_a_module_of_that_name_from_elsewhere_is_refused(tmp_path: Path) -> None:
    install(tmp_path, MANY)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "greeting.py").write_text("WORD = 'from elsewhere'")
    told = imported(tmp_path, meanwhile="sys.path.insert(0, str(base / 'first'))")
    assert told.startswith("refused expected a file as pinned with greeting 1.2") and "first" in told


# Plants what Python keeps beside a source: of other code, and it says that it fits.
PLANT = """
import marshal
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
source = base / "greeting" / "__init__.py"
stat, flags = source.stat(), FLAGS
fits = source_hash(source.read_bytes()) if flags else b"".join(
    int(number).to_bytes(4, "little") for number in (stat.st_mtime, stat.st_size)
)
code = marshal.dumps(compile("WORD = 'enemy'", str(source), "exec"))
planted = Path(cache_from_source(str(source)))
planted.parent.mkdir(exist_ok=True)
planted.write_bytes(MAGIC_NUMBER + flags.to_bytes(4, "little") + fits + code)
"""
BY_TIME, BY_HASH_UNCHECKED, BY_HASH = 0b00, 0b01, 0b11


@pytest.mark.parametrize("flags", [BY_TIME, BY_HASH_UNCHECKED, BY_HASH])
@pytest.mark.parametrize("is_held", [False, True])
def test_what_python_has_compiled_is_not_believed(tmp_path: Path, is_held: bool, flags: int) -> None:
    """Its time and size, or its hash, are those of the source: Python by itself runs it."""
    install(tmp_path, MANY)
    plant = PLANT.replace("FLAGS", str(flags))
    assert imported(tmp_path, meanwhile=plant + ("" if is_held else "finder.hold([])")) == (
        "got hello" if is_held else "got enemy"
    )
    assert (tmp_path / "greeting" / "__init__.py").read_bytes() == FILES["greeting/__init__.py"]


def test_nothing_compiled_is_kept_or_changed(tmp_path: Path) -> None:
    """What Python would keep there is not written, and what is there stays as it is."""
    install(tmp_path, MANY)
    assert imported(tmp_path, "greeting.later", PLANT.replace("FLAGS", "0")) == "got later"
    (kept,) = (tmp_path / "greeting" / "__pycache__").iterdir()
    assert b"enemy" in kept.read_bytes()


def test_what_others_own_is_theirs(tmp_path: Path) -> None:
    install(tmp_path, {"shared/greeting/__init__.py": b"WORD = 'hello'\n"})
    (tmp_path / "shared" / "other.py").write_text("WORD = 'other'")
    assert imported(tmp_path, "shared.other") == "got other"
    assert imported(tmp_path, "shared.greeting") == "got hello"
