"""Runs the compiled parts' tests on a build with ASan and UBSan: `python -m tests.fuzz.sanitize [pytest's arguments]`.

First it plants an overflow and an undefined shift, and sees that each ends the process: else a clean run means nothing.
Leaks are not looked for: the interpreter frees little at its end. The fuzzer bounds the memory of each of its runs.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig

from .build import BUILD, MARKS, ROOT, SANITIZE, build

TESTS = ("tests/unit/ext", "tests/property/ext", "tests/fuzz")
MAX_S = 600  # of one test: several times as slow as elsewhere
PLANTED = {
    "planted.overflow(b'some bytes')": "AddressSanitizer: heap-buffer-overflow",
    "planted.shift(40)": "runtime error: shift exponent 40 is too large",
}


def environment() -> dict[str, str]:
    """What Python runs with so that a library with the sanitizers can be loaded."""
    runtime = subprocess.run(
        [SANITIZE.compiler, "-print-file-name=libasan.so"], stdout=subprocess.PIPE, text=True, check=True
    )
    return SANITIZE.environment(LD_PRELOAD=runtime.stdout.strip(), HYPOTHESIS_PROFILE="ci")


def build_planted() -> None:
    """Build what is to be caught, as the extensions are built. Raises: subprocess.CalledProcessError."""
    source, library = ROOT / "tests" / "fuzz" / "planted.c", BUILD / SANITIZE.name / "planted.so"
    flags = [*SANITIZE.flags.split(), "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}"]
    subprocess.run([SANITIZE.compiler, *flags, str(source), "-o", str(library)], check=True)
    assert all(mark in library.read_bytes() for mark in MARKS)


def what_is_missed() -> list[str]:
    """Run what is planted, in a process each. Returns what no sanitizer saw."""
    here = f"import sys; sys.path.insert(0, {str(BUILD / SANITIZE.name)!r}); import planted; print(planted.shift(3)); "
    missed = []
    for call, words in PLANTED.items():
        done = subprocess.run(
            [sys.executable, "-c", here + call], env=environment(), capture_output=True, text=True, timeout=60
        )
        if done.returncode == 0 or words not in done.stderr or done.stdout != "8\n":
            missed.append(f"{call}: expected {words!r}, got {done.returncode}: {done.stdout}{done.stderr[-2000:]}")
    return missed


def main(arguments: list[str]) -> int:
    """Build, see that mistakes are seen, and run the tests."""
    library = build(SANITIZE)
    build_planted()
    if missed := what_is_missed():
        print("\n".join(missed))
        return 1
    print(f"{len(PLANTED)} planted mistakes seen; tests on {library}", flush=True)
    show = "from headgate.ext import implementation; print(implementation('http1', 'compiled').__file__)"
    shown = subprocess.run([sys.executable, "-c", show], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    if not shown.stdout.startswith(str(library)):
        print(f"expected the tests to import {library}, got {shown.stdout}")
        return 1
    command = [sys.executable, "-m", "pytest", "-q", f"--timeout={MAX_S}", *(arguments or TESTS)]
    return subprocess.run(command, cwd=ROOT, env=environment()).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
