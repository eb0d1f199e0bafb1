"""Of a pinned distribution nothing is run but the bytes that were checked."""

from __future__ import annotations

import marshal
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER
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


# Puts another file in the place of one at the very last moment before it is read to be run.
SWAP = """
import os, sys
file, enemy, is_extension = base / "greeting" / NAME, base / "enemy", NAME.endswith(".so")
opened = []
def swap(event, arguments):
    if event == "open" and arguments[0] == str(file):
        opened.append(file)
    is_last = event == "import" and arguments[1] if is_extension else len(opened) == 2
    if is_last and enemy.exists():
        opened.append(enemy)  # replacing is an event, too
        os.replace(enemy, file)
sys.addaudithook(swap)
"""
SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
EXTENSION = """
#include <Python.h>
static int fill(PyObject *module) { return PyModule_AddStringConstant(module, "WORD", "@"); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef phased = {PyModuleDef_HEAD_INIT, "native", NULL, 0, NULL, slots};
PyMODINIT_FUNC PyInit_native(void) { return PyModuleDef_Init(&phased); }
static struct PyModuleDef plain = {PyModuleDef_HEAD_INIT, "native_too", NULL, -1};
PyMODINIT_FUNC PyInit_native_too(void) {
    PyObject *module = PyModule_Create(&plain);
    if (module != NULL) fill(module);
    return module;
}
"""


def compiled(folder: Path, word: str) -> bytes:
    """An extension that says a word, and is initialised in both ways."""
    source, made = folder / f"{word}.c", folder / f"{word}.so"
    source.write_text(EXTENSION.replace("@", word))
    compiler = [*shlex.split(sysconfig.get_config_var("CC") or "cc"), "-shared", "-fPIC"]
    command = [*compiler, f"-I{sysconfig.get_path('include')}", str(source), "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=50)
    return made.read_bytes()


def bytecode(folder: Path, word: str) -> bytes:
    return MAGIC_NUMBER + bytes(12) + marshal.dumps(compile(f"WORD = {word!r}", "bare.py", "exec"))


@pytest.mark.parametrize(
    ("name", "make", "outcome"),
    [
        (f"native{SUFFIX}", compiled, "got hello"),  # a copy of what was checked
        (f"native_too{SUFFIX}", compiled, "got hello"),
        ("bare.pyc", bytecode, "refused expected a file as pinned with greeting 1.2"),
    ],
)
def test_what_is_put_in_its_place_at_the_last_moment_is_not_run(
    tmp_path: Path, name: str, make: Callable[[Path, str], bytes], outcome: str
) -> None:
    base = tmp_path / "site"
    install(base, {**FILES, f"greeting/{name}": make(tmp_path, "hello")})
    module = f"greeting.{name.partition('.')[0]}"
    assert imported(base, module) == "got hello"
    (base / "enemy").write_bytes(make(tmp_path, "enemy"))
    told = imported(base, module, SWAP.replace("NAME", repr(name)))
    assert not (base / "enemy").exists() and told.startswith(outcome)


def test_an_extension_knows_where_it_lies_and_what_it_is(tmp_path: Path) -> None:
    """Each of several, of one file or not, and once more after it was forgotten."""
    base, hello = tmp_path / "site", compiled(tmp_path, "hello")
    others = {f"greeting/inner/native{SUFFIX}": compiled(tmp_path, "inner"), "greeting/inner/__init__.py": b""}
    install(base, {**FILES, **{f"greeting/{name}{SUFFIX}": hello for name in ("native", "native_too")}, **others})
    look = (
        "for name in ('native', 'native_too', 'inner.native') * 2:\n"
        "    module = import_module(f'greeting.{name}')\n"
        "    assert module.__file__ == module.__spec__.origin == str(base / 'greeting' / name.replace('.', '/')) + "
        f"{SUFFIX!r}, module\n"
        "    assert module.WORD == ('inner' if '.' in name else 'hello'), module.WORD\n"
        "    del sys.modules[f'greeting.{name}']\n"
    )
    assert imported(base, "greeting.inner.native", look) == "got inner"


def test_an_extension_does_not_find_libraries_beside_itself(tmp_path: Path) -> None:
    """They would be read by the dynamic loader alone."""
    base = tmp_path / "site"
    compiler = [*shlex.split(sysconfig.get_config_var("CC") or "cc"), "-shared", "-fPIC"]
    (tmp_path / "word.c").write_text('const char *word(void) { return "hello"; }')
    subprocess.run([*compiler, str(tmp_path / "word.c"), "-o", str(tmp_path / "libword.so")], check=True, timeout=50)
    (tmp_path / "native.c").write_text(
        EXTENSION.replace('"@"', "word()").replace("static int", "const char *word(void);\nstatic int", 1)
    )
    linked = [f"-I{sysconfig.get_path('include')}", f"-L{tmp_path}", "-Wl,-rpath,$ORIGIN"]
    made = tmp_path / "native.so"
    subprocess.run([*compiler, *linked, str(tmp_path / "native.c"), "-lword", "-o", str(made)], check=True, timeout=50)
    beside = {
        f"greeting/native{SUFFIX}": made.read_bytes(),
        "greeting/libword.so": (tmp_path / "libword.so").read_bytes(),
    }
    install(base, {**FILES, **beside})
    assert imported(base, "greeting.native", "finder.hold([])") == "got hello"
    assert imported(base, "greeting.native").startswith("refused libword.so")


def test_what_others_own_is_theirs(tmp_path: Path) -> None:
    install(tmp_path, {"shared/greeting/__init__.py": b"WORD = 'hello'\n"})
    (tmp_path / "shared" / "other.py").write_text("WORD = 'other'")
    assert imported(tmp_path, "shared.other") == "got other"
    assert imported(tmp_path, "shared.greeting") == "got hello"
