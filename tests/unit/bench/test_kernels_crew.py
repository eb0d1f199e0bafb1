"""Workers that crash, hang and babble do not end the run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.kernels import crew as crew_module
from bench.kernels.budget import Budget
from bench.kernels.crew import Crew, Worker
from bench.kernels.work import Done, Item

# Does what the item's detail says.
SCRIPT = """
import json, os, signal, sys
for line in sys.stdin:
    item = json.loads(line)
    what = item["detail"]
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "exit":
        print("the reason", file=sys.stderr, flush=True)
        os._exit(3)
    if what == "hang":
        signal.pause()
    if what == "cut":
        sys.stdout.write('{"found"')
        sys.stdout.flush()
        os._exit(0)
    answer = {"found": {"pid": os.getpid(), "what": what}, "is_fatal": what == "spoiled"}
    if what == "spoiled":
        answer["failure"] = "CUDA error"
    print(json.dumps(answer), flush=True)
    if what == "spoiled":
        break
"""
COMMAND = (sys.executable, "-c", SCRIPT)


class Clock:
    """Seconds that go on by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    with Worker(COMMAND, tmp_path / "log") as made:
        yield made


def item(what: str, seconds: float = 30.0) -> Item:
    return Item("time", "k", detail=what, seconds=seconds)


def test_items_are_done_by_one_process(worker: Worker) -> None:
    first, second = worker.do(item("a")), worker.do(item("b"))
    assert (first.found["what"], second.found["what"]) == ("a", "b")
    assert first.found["pid"] == second.found["pid"]
    assert first.item == item("a")


@pytest.mark.parametrize(
    ("what", "why"), [("crash", "signal SIGSEGV"), ("exit", "exit code 3; the reason"), ("cut", "exit code 0")]
)
def test_a_crash_is_a_failure_and_the_next_item_gets_a_process_of_its_own(worker: Worker, what: str, why: str) -> None:
    before = worker.do(item("a")).found["pid"]
    done = worker.do(item(what))
    assert done.failure == f"the process ended by {why}"
    assert what != "exit" or done.trace == "the reason\n"
    after = worker.do(item("b"))
    assert not after.failure and after.found["pid"] != before


def test_what_hangs_is_ended(worker: Worker) -> None:
    pid = worker.do(item("a")).found["pid"]
    assert worker.do(item("hang", seconds=0.2)).failure == "not done after 0 s"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert worker.do(item("b")).found["pid"] != pid


def test_a_process_whose_gpu_is_spoiled_is_not_asked_again(worker: Worker) -> None:
    before = worker.do(item("a")).found["pid"]
    assert worker.do(item("spoiled")).failure == "CUDA error"
    assert worker.do(item("b")).found["pid"] != before


def test_a_worker_that_is_closed_is_gone(worker: Worker) -> None:
    pid = worker.do(item("a")).found["pid"]
    assert worker.close() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(mode: str) -> Sequence[str]:
        return COMMAND

    monkeypatch.setattr(crew_module, "command", command)


@pytest.mark.usefixtures("scripted")
def test_a_crew_answers_in_order_and_tells_of_each(tmp_path: Path) -> None:
    said: list[Done] = []
    items = [item(what) for what in ("a", "crash", "b", "c", "a")]
    with Crew(tmp_path, Budget(100.0, Clock()), said.append) as crew:
        done = crew.run("gpu", items, at_once=3)
    assert [one.item for one in done] == items
    assert [bool(one.failure) for one in done] == [False, True, False, False, False]
    assert sorted(one.item.detail for one in said) == ["a", "a", "b", "c", "crash"]


@pytest.mark.usefixtures("scripted")
def test_a_crew_keeps_a_process_for_the_next_items(tmp_path: Path) -> None:
    with Crew(tmp_path, Budget(100.0, Clock()), lambda done: None) as crew:
        first, later = crew.run("gpu", [item("a")]), crew.run("gpu", [item("b")])
    assert first[0].found["pid"] == later[0].found["pid"]


@pytest.mark.usefixtures("scripted")
def test_what_there_is_no_time_for_is_left_out_and_noted(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(100.0, clock)

    def said(done: Done) -> None:
        clock.now += 40.0

    items = [item("a"), item("b"), item("c")]
    with Crew(tmp_path, budget, said) as crew:
        assert [one.item.detail for one in crew.run("gpu", items, until=30.0)] == ["a", "b"]
    assert budget.left_out == items[2:]
    assert (budget.spent(), budget.left()) == (80.0, 20.0)


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(("left", "is_failed"), [(0.2, False), (50.0, True)])
def test_what_hangs_failed_if_it_had_its_time_and_is_left_out_if_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, is_failed: bool
) -> None:
    monkeypatch.setattr(crew_module, "START_SECONDS", 0.1)
    budget, late = Budget(left, Clock()), item("hang", seconds=0.3)
    with Crew(tmp_path, budget, lambda done: None) as crew:
        found = crew.run("gpu", [late])
    assert [done.failure.startswith("not done after") for done in found] == [True] * is_failed
    assert budget.left_out == [late] * (not is_failed)
