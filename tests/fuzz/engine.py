"""libFuzzer over one target: inputs to begin with, a run, what came of it, and a small corpus out of a large one."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from .build import BUILD, FUZZ, ROOT

CORPUS = Path(__file__).with_name("corpus")
TARGETS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("targets/*.py")))
MAX_MB = 1024  # of a run
MAX_S = 20  # of one input
FOUND = "found-"  # the name of a finding that is kept begins with it; no other input takes its place


class Target(Protocol):
    """What a module in `targets` holds."""

    MAX_BYTES: int
    TOKENS: tuple[bytes, ...]

    def check(self, data: bytes) -> None:
        """Raise for an input that is not read as it should."""

    def seeds(self) -> Iterator[bytes]:
        """Yield inputs to begin with."""


@dataclass(frozen=True)
class Run:
    """What came of a run. Edges are those of our functions in all that the target loads; features as libFuzzer says."""

    name: str
    num_executions: int
    num_edges: int
    all_edges: int
    num_features: int
    num_inputs: int
    peak_mb: int
    finding: Path | None

    def __str__(self) -> str:
        share = f"{self.num_edges} of {self.all_edges} edges ({self.num_edges / max(self.all_edges, 1):.0%})"
        found = f"FOUND {self.finding}" if self.finding else "nothing found"
        return (
            f"{self.name:<14} {self.num_executions:>9} executions, {share}, {self.num_features} features, "
            f"{self.num_inputs} inputs, {self.peak_mb} MiB, {found}"
        )


def target(name: str) -> Target:
    """Import a target."""
    return cast(Target, import_module(f"{__package__}.targets.{name}"))


def kept(name: str) -> list[Path]:
    """Return the inputs that are kept for a target."""
    return sorted((CORPUS / name).iterdir())


def prepare(name: str) -> tuple[Path, Path]:
    """Write the seeds and the words of a target. Returns the folder of its large corpus, and the dictionary."""
    module, folder = target(name), BUILD / "fuzz" / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in module.seeds():
        if len(seed) <= module.MAX_BYTES:
            (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    dictionary = BUILD / "fuzz" / f"{name}.dict"
    lines = [f'"{_escaped(token)}"' for token in module.TOKENS if token]
    dictionary.write_text("\n".join(lines or ["# none"]))
    return folder, dictionary


def _escaped(token: bytes) -> str:
    return "".join(chr(octet) if chr(octet).isalnum() and octet < 128 else f"\\x{octet:02x}" for octet in token)


def execute(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run libFuzzer over a target. One at a time; it says what it does on standard error."""
    environment = FUZZ.environment(FUZZ_PYTHON=sys.executable, FUZZ_TARGET=f"{__package__}.targets.{name}")
    command = [str(BUILD / "fuzz" / "driver"), f"-rss_limit_mb={MAX_MB}", f"-timeout={MAX_S}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, errors="replace")


def fuzz(name: str, span_s: int) -> Run:
    """Search for `span_s` seconds. Raises: RuntimeError where the target could not be run."""
    folder, dictionary = prepare(name)
    findings = BUILD / "fuzz" / "findings"
    findings.mkdir(exist_ok=True)
    done = execute(
        name,
        *(f"-max_total_time={span_s}", f"-max_len={target(name).MAX_BYTES}", f"-dict={dictionary}", "-reload=0"),
        *(f"-artifact_prefix={findings}/{name}-", "-print_final_stats=1", str(folder), str(CORPUS / name)),
    )
    (BUILD / "fuzz" / f"{name}.log").write_text(done.stderr)
    run = read(name, done.stderr)
    if done.returncode and run.finding is None:
        raise RuntimeError(f"expected libFuzzer to run {name}, it ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return run


def read(name: str, log: str) -> Run:
    """Read what libFuzzer says."""
    last = (re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", log) or [("0", "0", "0")])[-1]
    all_edges = re.search(r"Loaded \d+ modules +\((\d+) inline 8-bit counters\)", log)
    written = re.search(r"Test unit written to (.+)", log)
    return Run(
        name,
        _stat(log, "number_of_executed_units"),
        int(last[0]),
        int(all_edges[1]) if all_edges else 0,
        int(last[1]),
        int(last[2]),
        _stat(log, "peak_rss_mb"),
        Path(written[1]) if written else None,
    )


def _stat(log: str, name: str) -> int:
    found = re.search(rf"stat::{name}: +(\d+)", log)
    return int(found[1]) if found else 0


def keep(name: str) -> int:
    """Put as few inputs into the kept corpus as have all features that any has. Returns how many there are.

    Raises: RuntimeError where libFuzzer cannot run them.
    """
    small, large = BUILD / "fuzz" / "small" / name, BUILD / "fuzz" / "corpus" / name
    shutil.rmtree(small, ignore_errors=True)
    small.mkdir(parents=True)
    for path in (*large.iterdir(), *kept(name)):
        if path.stat().st_size > target(name).MAX_BYTES and not path.name.startswith(FOUND):
            path.unlink()  # of when the bound was another
    done = execute(name, "-set_cover_merge=1", str(small), str(CORPUS / name), str(large))
    if done.returncode:
        raise RuntimeError(f"expected libFuzzer to merge the inputs of {name}:\n{done.stderr[-2000:]}")
    for path in kept(name):
        if not path.name.startswith(FOUND):
            path.unlink()
    for path in small.iterdir():
        shutil.copy(path, CORPUS / name / path.name)
    return len(kept(name))
