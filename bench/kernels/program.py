"""What is done in a run, in which order: right first, then fast, then beside others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from .budget import Budget
from .figures import floor_us, has_target
from .sanitizer import Finding
from .spec import Shape
from .subjects import Subject
from .work import Done, Item

CHECK_SECONDS = 150.0  # of one kernel in one type, with its compiling
TIME_SECONDS = 60.0
COMPILED_PEER_SECONDS = 90.0
SWEEP_SECONDS = 150.0
CHECKS_PART = 0.6  # of the time, after which checking and compiling leave the rest to be timed
SANITIZER_PART = 0.3
SWEEP_PARTS = 8  # into which a shape's configurations are dealt out, to compile them side by side


class Hands(Protocol):
    """Who does the work: `crew.Crew`."""

    def run(self, mode: str, items: Sequence[Item], at_once: int = 1, until: float = 0.0) -> list[Done]: ...


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a run takes place: which workers check and which time, in which types, how many at once."""

    checks: str
    times: str
    dtypes: tuple[str, ...]
    num_checkers: int
    num_compilers: int

    @property
    def is_measuring(self) -> bool:
        """Whether there is a GPU."""
        return self.times == "gpu"


def gpu(num_cores: int) -> Stand:
    """Return the stand of a machine with a GPU."""
    return Stand("gpu", "gpu", ("bfloat16", "float16", "float32"), min(4, num_cores), max(1, num_cores - 6))


def rehearsal(num_cores: int) -> Stand:
    """Return the stand of a machine without: bfloat16 is wrong in the interpreter."""
    half = max(1, num_cores // 2)
    return Stand("interpret", "compile", ("float16", "float32"), half, half)


@dataclass
class Run:
    """What came of it. `right` are the kernels that are, and were timed."""

    machine: Mapping[str, Any]
    ceilings: Mapping[str, float] = field(default_factory=dict)
    checks: list[Done] = field(default_factory=list)
    compiled: list[Done] = field(default_factory=list)
    times: list[Done] = field(default_factory=list)
    twins: list[Done] = field(default_factory=list)
    peers: list[Done] = field(default_factory=list)
    sweeps: list[Done] = field(default_factory=list)
    plants: list[Done] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    failures: list[Done] = field(default_factory=list)
    right: list[str] = field(default_factory=list)


Examine = Callable[[Sequence[str], float], Sequence[Finding]]


class Program:
    """One run over kernels, in their order."""

    def __init__(self, stand: Stand, subjects: Sequence[Subject], hands: Hands, budget: Budget, seed: int) -> None:
        self._stand, self._hands, self._budget, self._seed = stand, hands, budget, seed
        self._subjects = {subject.name: subject for subject in subjects}
        self.kernels = list(self._subjects)

    def measure(self, run: Run, examine: Examine) -> None:
        """Check, time, and time the peers. `examine` runs a memory checker beside the checks."""
        with ThreadPoolExecutor(2) as pool:
            compiling = pool.submit(self._compile)
            examined = pool.submit(examine, self.kernels, SANITIZER_PART * self._budget.seconds)
            self._check(run)
        run.compiled, run.findings = compiling.result(), list(examined.result())
        if not self._find_ceilings(run):
            return
        items = [Item("time", name, number, seconds=TIME_SECONDS, seed=self._seed) for name, number in self._order(run)]
        run.times = self._hands.run(self._stand.times, items)
        keys = [(one.item.kernel, one.item.number) for one in run.times if not one.failure]
        items = [Item("twin", *key, seconds=TIME_SECONDS, seed=self._seed) for key in keys]
        run.twins = self._hands.run(self._stand.times, items)
        run.peers = self._hands.run(self._stand.times, self._peer_items(keys))

    def sweep(self, run: Run) -> None:
        """Check, and try every configuration for every shape. All are compiled before, side by side."""
        self._check(run)
        if not self._find_ceilings(run):
            return
        order = self._order(run)
        if self._stand.is_measuring:
            parts = [f"{part}/{SWEEP_PARTS}" for part in range(SWEEP_PARTS)]
            items = [Item("sweep", *key, detail=part, seconds=SWEEP_SECONDS) for key in order for part in parts]
            self._hands.run("compile", items, self._stand.num_compilers, self._rest())
        items = [Item("sweep", *key, seconds=SWEEP_SECONDS, seed=self._seed) for key in order]
        run.sweeps = self._hands.run(self._stand.times, items)

    def compile(self, run: Run) -> None:
        """Compile every shape."""
        run.compiled = self._compile()

    def interpret(self, run: Run) -> None:
        """Check, and plant every bug."""
        self._check(run)
        subjects = self._subjects.values()
        keys = [(subject.name, number) for subject in subjects for number in range(subject.num_plants)]
        items = [Item("plant", *key, seconds=CHECK_SECONDS, seed=self._seed) for key in keys]
        run.plants = self._hands.run(self._stand.checks, items, self._stand.num_checkers)

    def _check(self, run: Run) -> None:
        kinds = [(name, dtype) for dtype in self._stand.dtypes for name in self.kernels]
        items = [Item("check", name, detail=dtype, seed=self._seed, seconds=CHECK_SECONDS) for name, dtype in kinds]
        run.checks = self._hands.run(self._stand.checks, items, self._stand.num_checkers, self._rest())
        wrong = {done.item.kernel for done in run.checks if not is_right(done)}
        checked = {done.item.kernel for done in run.checks if done.item.detail == self._stand.dtypes[0]}
        run.right = [name for name in self.kernels if name in checked - wrong]

    def _compile(self) -> list[Done]:
        """Compile every shape; on a machine with a GPU this fills Triton's cache for what is timed later."""
        keys = [(name, number) for name in self.kernels for number in range(len(self._subjects[name].shapes))]
        items = [Item("compile", *key, seconds=CHECK_SECONDS) for key in keys]
        return self._hands.run("compile", items, self._stand.num_compilers, self._rest())

    def _find_ceilings(self, run: Run) -> bool:
        found = self._hands.run(self._stand.times, [Item("ceilings", seed=self._seed)])
        run.failures += [done for done in found if done.failure]
        run.ceilings = found[0].found if found else {}
        return bool(found) and not found[0].failure

    def _rest(self) -> float:
        return (1 - CHECKS_PART) * self._budget.seconds

    def _order(self, run: Run) -> list[tuple[str, int]]:
        """Return the shapes of the right kernels: those with a target first, of each kernel the longest first."""
        keys = [(name, number) for name in run.right for number in range(len(self._subjects[name].shapes))]
        place = {name: number for number, name in enumerate(run.right)}

        def rank(key: tuple[str, int]) -> tuple[bool, int, float]:
            shape = self.shape(*key)
            return not has_target(shape), place[key[0]], -floor_us(shape)

        return sorted(keys, key=rank)

    def shape(self, kernel: str, number: int) -> Shape:
        """Return a shape."""
        return self._subjects[kernel].shapes[number]

    def _peer_items(self, keys: Sequence[tuple[str, int]]) -> list[Item]:
        """Return the peers, those that are compiled last: for their compiling there may be no time."""
        found = []
        for is_compiled in (False, True):
            for kernel, number in keys:
                for peer in self._subjects[kernel].peers:
                    if ("compile" in peer) is is_compiled:
                        seconds = COMPILED_PEER_SECONDS if is_compiled else TIME_SECONDS
                        found.append(Item("peer", kernel, number, peer, self._seed, seconds))
        return found


def is_right(done: Done) -> bool:
    """Whether a check was done, and found the kernel right."""
    return not done.failure and bool(done.found["is_right"])
