"""The order of a run, and what a wrong kernel does to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.kernels.__main__ import main
from bench.kernels.budget import Budget
from bench.kernels.program import Program, Run, gpu, rehearsal
from bench.kernels.report import MAX_CHARACTERS, document, exit_code, text
from bench.kernels.sanitizer import Finding
from bench.kernels.spec import Shape
from bench.kernels.subjects import Subject, subjects
from bench.kernels.tables import write_json
from bench.kernels.work import Done, Item

MACHINE = {"name": "a card", "driver": "1", "torch": "2", "triton": "3", "num_sms": 132, "l2_mib": 50}
CEILINGS = {"copy": 4e12, "bf16": 8e14}
DATE = "2026-01-02"


def shape(name: str, floor_us: float, target: float = 0.0) -> Shape:
    size = round(floor_us * 4e6)
    return Shape(name, lambda device, dtype: {"x": torch.empty(0)}, size, 1, target)


SUBJECTS = [
    Subject("heavy", [shape("short", 1.0), shape("long", 50.0, 0.8)], ["torch", "torch.compile"]),
    Subject("light", [shape("only", 2.0, 0.5)], ["torch"]),
]
Answer = Callable[[Item], Done]


class Hands:
    """Does nothing, and says what it is told to; notes what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[tuple[str, Item]] = []

    def run(self, mode: str, items: Sequence[Item], at_once: int = 1, until: float = 0.0) -> list[Done]:
        self.asked += [(mode, item) for item in items]
        return [self._answer(item) for item in items]

    def of(self, kind: str) -> list[tuple[str, int, str]]:
        return [(item.kernel, item.number, item.detail) for _, item in self.asked if item.kind == kind]


def well(item: Item) -> Done:
    """Answer as a card does on which all is right, and each shape takes 10 us."""
    found: dict[str, dict[str, Any]] = {
        "check": {"num_cases": 3, "worst_case": "w", "error": 1e-3, "tolerance": 1e-2, "is_right": True, "note": ""},
        "ceilings": CEILINGS,
        "compile": {"kernels": [], "lacking": []},
        "sweep": {"bucket": "b", "default": {"num_warps": 4}, "tried": [], "left_out": 0},
        "plant": {"name": "p", "is_caught": True},
    }
    timing = {"us": 10.0, "low_us": 9.9, "high_us": 10.2, "method": "graph", "sets": 2, "is_far": False}
    return Done(item, found.get(item.kind, timing), seconds=0.1)


def ran(
    answer: Answer, kernels: Sequence[Subject] = SUBJECTS, findings: Sequence[Finding] = (), seconds: float = 500.0
) -> tuple[Run, Program, Hands, Budget]:
    hands, budget, run = Hands(answer), Budget(seconds, lambda: 0.0), Run(MACHINE)
    program = Program(gpu(16), kernels, hands, budget, 7)
    program.measure(run, lambda names, share: findings)
    return run, program, hands, budget


def test_all_is_checked_in_every_type_before_anything_is_timed() -> None:
    _, _, hands, _ = ran(well)
    kinds = [item.kind for _, item in hands.asked]
    assert set(hands.of("check")) == {
        (name, 0, dtype) for name in ("heavy", "light") for dtype in ("bfloat16", "float16", "float32")
    }
    assert max(at for at, kind in enumerate(kinds) if kind in {"check", "compile"}) < kinds.index("ceilings")
    assert kinds.index("ceilings") < kinds.index("time") < kinds.index("twin") < kinds.index("peer")
    assert {mode for mode, item in hands.asked if item.kind == "compile"} == {"compile"}
    assert {item.seed for _, item in hands.asked if item.kind in {"check", "time", "peer"}} == {7}


def test_shapes_with_targets_come_first_and_compiled_peers_last() -> None:
    _, _, hands, _ = ran(well)
    assert hands.of("time") == [("heavy", 1, ""), ("light", 0, ""), ("heavy", 0, "")]
    assert hands.of("peer") == [
        ("heavy", 1, "torch"),
        ("light", 0, "torch"),
        ("heavy", 0, "torch"),
        ("heavy", 1, "torch.compile"),
        ("heavy", 0, "torch.compile"),
    ]


def wrong(kernel: str, dtype: str, failure: str = "") -> Answer:
    def answer(item: Item) -> Done:
        done = well(item)
        if (item.kind, item.kernel, item.detail) != ("check", kernel, dtype):
            return done
        if failure:
            return Done(item, failure=failure)
        return replace(done, found={**done.found, "is_right": False, "error": 1.0, "note": "two runs differ"})

    return answer


@pytest.mark.parametrize("failure", ["", "the process ended by signal SIGSEGV"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_wrong_kernel_is_reported_and_not_timed(dtype: str, failure: str) -> None:
    run, program, hands, budget = ran(wrong("heavy", dtype, failure))
    assert {name for name, _, _ in hands.of("time")} == {"light"}
    assert exit_code(run) == 1
    said = text(run, program, budget, DATE, 7)
    assert "WRONG" in said and (failure or "two runs differ") in said
    assert "heavy long" not in said


def failed(kind: str) -> Answer:
    return lambda item: Done(item, failure="it broke") if item.kind == kind else well(item)


@pytest.mark.parametrize(("kind", "code"), [("time", 1), ("compile", 1), ("ceilings", 1), ("peer", 0), ("none", 0)])
def test_a_kernel_that_fails_sets_the_exit_code_and_a_peer_does_not(kind: str, code: int) -> None:
    run, program, _, budget = ran(failed(kind))
    assert exit_code(run) == code
    assert ("it broke" in text(run, program, budget, DATE, 7)) == (kind != "none")


def test_a_result_unlike_that_of_the_twin_is_wrong() -> None:
    run, program, _, budget = ran(
        lambda item: replace(well(item), found={**well(item).found, "is_far": True, "difference": 0.5})
    )
    assert exit_code(run) == 1
    assert "WRONG at the size of long: heavy differs from its twin by 0.5" in text(run, program, budget, DATE, 7)


def test_what_a_memory_checker_finds_is_wrong_and_what_it_cannot_do_is_said() -> None:
    findings = [Finding("memcheck", 2, "ran heavy", ("_heavy",)), Finding("racecheck", None, "there is none here")]
    run, program, _, budget = ran(well, findings=findings)
    assert exit_code(run) == 1
    said = text(run, program, budget, DATE, 7)
    assert "memcheck: 2 errors in _heavy; ran heavy" in said and "racecheck: there is none here" in said
    assert exit_code(ran(well, findings=findings[1:])[0]) == 0


def test_a_missed_target_is_shown_and_is_no_failure() -> None:
    run, program, _, budget = ran(well, [Subject("k", [shape("met", 9.0, 0.9), shape("missed", 8.0, 0.9)], [])])
    rows = {line.split()[1]: line for line in text(run, program, budget, DATE, 7).splitlines() if line[:2] == "k "}
    assert " met " in rows["met"] and "0.90" in rows["met"]
    assert "MISSED" in rows["missed"] and "0.80" in rows["missed"]
    assert exit_code(run) == 0


def test_the_document_holds_all_of_it_and_is_json(tmp_path: Any) -> None:
    run, program, _, budget = ran(wrong("heavy", "float16"))
    budget.leave_out(Item("peer", "light", detail="torch"))
    found = document(run, program, budget, DATE, 7)
    assert found["left_out"] == ["peer light torch"]
    (row,) = found["times"]
    assert (row["shape"], row["us"], row["floor_us"], row["part"]) == ("only", 10.0, 2.0, 0.2)
    assert [one["shape"] for one in found["peers"]] == ["only"]
    write_json(tmp_path / "found.json", found)
    assert (tmp_path / "found.json").stat().st_size > 100


def test_the_report_fits_however_much_there_is() -> None:
    many = [
        Subject(f"kernel_{at}", [shape(f"{'x' * 40} {n}", 1.0, 0.5 * (n < 2)) for n in range(20)], ["torch"])
        for at in range(20)
    ]
    run, program, _, budget = ran(well, many)
    said = text(run, program, budget, DATE, 7)
    assert len(said) <= MAX_CHARACTERS
    assert "lines more, in the file of the figures" in said
    assert said.count(" MISSED ") >= 40  # those with a target come first


def test_what_was_left_out_is_said() -> None:
    run, program, _, budget = ran(well)
    for number in range(3):
        budget.leave_out(Item("peer", "heavy", number))
    assert text(run, program, budget, DATE, 7).endswith("left out for want of time: peer heavy (3)")


def test_a_sweep_compiles_all_side_by_side_before_it_times() -> None:
    hands, run = Hands(well), Run(MACHINE)
    Program(gpu(16), SUBJECTS, hands, Budget(500.0, lambda: 0.0), 7).sweep(run)
    modes = [mode for mode, item in hands.asked if item.kind == "sweep"]
    assert modes == ["compile"] * 24 + ["gpu"] * 3
    assert [done.item.kernel for done in run.sweeps] == ["heavy", "light", "heavy"]


def test_without_a_gpu_the_same_is_done_but_for_bfloat16() -> None:
    hands, run, budget = Hands(well), Run(MACHINE), Budget(500.0, lambda: 0.0)
    program = Program(rehearsal(2), SUBJECTS, hands, budget, 7)
    program.measure(run, lambda names, share: [])
    assert {mode for mode, item in hands.asked if item.kind == "check"} == {"interpret"}
    assert {mode for mode, item in hands.asked if item.kind in {"time", "peer"}} == {"compile"}
    assert {detail for _, _, detail in hands.of("check")} == {"float16", "float32"}


def test_a_kernel_that_cannot_be_described_is_a_failure_and_no_crash() -> None:
    found, failures = subjects(["no_such_kernel", "rms_norm"])
    assert [one.name for one in found] == ["rms_norm"]
    assert failures[0].item.kernel == "no_such_kernel" and "ModuleNotFoundError" in failures[0].failure
    assert exit_code(Run(MACHINE, failures=failures)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seconds", "-1"],
        ["--seconds", "nan"],
        ["--seed", "-5"],
        ["--sweep", "nothing"],
        ["--kernel", "nothing"],
        ["--compile-table", "--rehearse"],
        ["--interpreter-table", "--sweep", "gate"],
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_table_that_has_no_time_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--compile-table", "--seconds", "0"]) == 2
    assert capsys.readouterr().err == "expected time to begin, got --seconds 0; give it more\n"
