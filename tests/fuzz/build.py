"""Builds of the extensions that watch themselves: for the fuzzer, and for the sanitizers alone."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
# What stands for a sanitizer's calls in a library that is built with it.
MARKS = (b"__asan_report_", b"__ubsan_handle_")
COMMON = "-g1 -fno-omit-frame-pointer -fno-sanitize-recover=all"
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=1:quarantine_size_mb=32",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "PYTHONMALLOC": "malloc",  # Python's own allocator hides the bounds of small objects
    "PYTHONHASHSEED": "0",
}


@dataclass(frozen=True)
class Flavour:
    """One way to build the extensions: into `build/<name>`."""

    name: str
    compiler: str
    flags: str

    @property
    def library(self) -> Path:
        """The folder to import `headgate` from."""
        return BUILD / self.name / "lib"

    def environment(self, **more: str) -> dict[str, str]:
        """What a process runs with that imports this build."""
        inherited = {name: value for name, value in os.environ.items() if name != "HEADGATE_NO_EXTENSIONS"}
        return inherited | OPTIONS | {"PYTHONPATH": f"{self.library}:{ROOT}"} | more


# Clang, since libFuzzer is part of it. Of what Cython writes only our own functions are counted: what is around them
# says nothing of an input. Cython itself adds 0 to NULL, which C calls undefined, and clang heeds.
FUZZ = Flavour(
    "fuzz",
    "clang",
    f"-O1 {COMMON} -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=pointer-overflow"
    f" -fsanitize-coverage-allowlist={Path(__file__).with_name('counted.txt')}",
)
SANITIZE = Flavour("sanitize", "cc", f"-O1 {COMMON} -fsanitize=address,undefined")


def build(flavour: Flavour) -> Path:
    """Build the package, and return the folder to import it from. What has not changed is not compiled again.

    Raises: subprocess.CalledProcessError where it cannot be built, RuntimeError where nothing is watched in it.
    """
    base = BUILD / flavour.name
    environment = {
        "CC": flavour.compiler,
        "LDSHARED": f"{flavour.compiler} -shared",
        "CFLAGS": flavour.flags,
        "LDFLAGS": flavour.flags,
    }
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "build",
        "--build-base",
        str(base),
        "--build-lib",
        str(flavour.library),
    ]
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True)
    libraries = sorted((flavour.library / "headgate" / "ext").glob("*.so"))
    for library in libraries:
        if not all(mark in library.read_bytes() for mark in MARKS):
            raise RuntimeError(f"expected the sanitizers in {library}; delete {base} and build it again")
    if len(libraries) != len(list((ROOT / "ext").glob("*.pyx"))):
        raise RuntimeError(f"expected a library for each .pyx file, got {len(libraries)}; delete {base}")
    return flavour.library


def build_driver() -> Path:
    """Build the program that runs a target under libFuzzer. Raises: subprocess.CalledProcessError."""
    source, program = Path(__file__).with_name("driver.c"), BUILD / "fuzz" / "driver"
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    folder, version = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDVERSION")
    flags = ["-g1", "-O1", "-fsanitize=fuzzer,address,undefined", "-rdynamic", f"-I{sysconfig.get_path('include')}"]
    linked = [f"-L{folder}", f"-Wl,-rpath,{folder}", f"-lpython{version}"]
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["clang", *flags, str(source), "-o", str(program), *linked], check=True)
    return program
