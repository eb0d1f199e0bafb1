"""Laws of the answer: one outcome, one answer, and a gate that hears of every attempt's end."""

from __future__ import annotations

from headgate.proxy.exchange.attempt import Purpose
from headgate.proxy.exchange.gate import Report
from headgate.proxy.exchange.states import ENDED, State

from .law import law
from .log import Aborted, Began, Committed, Ended, Given, Heard, HeardBegin, Piece, Told
from .reckoning import kind_of, report_of
from .world import Run


@law
def one_outcome(run: Run) -> None:
    """P1: an exchange ends exactly once, as the state says that it did, and nothing happens to it afterwards."""
    (end,) = run.log.of(Ended)
    assert end.state in ENDED
    assert run.machine.state is end.state
    assert not run.machine.running
    after = run.log.entries[run.log.entries.index(end) + 1 :]
    assert all(isinstance(entry, Aborted) for entry in after), after
    assert (end.kind == "done") is (end.state is State.DONE)
    assert (end.kind == "gone") is (end.state is State.GONE)


@law
def ends_as_the_last_failure(run: Run) -> None:
    """P1: where an exchange fails or breaks, the client hears of the last failure, or of the deadline."""
    (end,) = run.log.of(Ended)
    if end.state not in (State.FAILED, State.BROKEN):
        return
    heard = run.log.of(Heard)
    if not heard:
        if not run.plan.timeouts:
            assert end.kind == "internal"
        else:
            assert end.kind == ("deadline" if run.plan.deadline <= end.at else "unavailable")
        return
    last = kind_of(run.plan, heard[-1])
    is_late = end.state is State.FAILED and end.at >= run.plan.deadline
    assert end.kind == ("deadline" if is_late else last)
    assert end.at == heard[-1].at


@law
def every_failure_is_noted(run: Run) -> None:
    """What failed, and where, is there to be told, in its order."""
    kinds = [(heard.target, kind_of(run.plan, heard)) for heard in run.log.of(Heard)]
    assert run.machine.failures == [(target, kind) for target, kind in kinds if kind]


@law
def one_answer_after_the_commit(run: Run) -> None:
    """P10: after the commit point nobody is asked but the target that answers, and only to go on with its answer."""
    committed = run.log.of(Committed)
    if not committed:
        return
    targets = {entry.number: entry.target for entry in run.log.of(Given)}
    later = run.log.entries[run.log.entries.index(committed[0]) + 1 :]
    for entry in later:
        if isinstance(entry, Given):
            assert entry.purpose is Purpose.RESUME
            assert entry.target == targets[committed[0].number]
    assert {targets[entry.number] for entry in committed} == {targets[committed[0].number]}
    resumed = [entry.number for entry in run.log.of(Given) if entry.purpose is Purpose.RESUME]
    assert all(entry.number in resumed for entry in committed[1:])


@law
def nothing_is_doubled_or_lost(run: Run) -> None:
    """P11: what the client gets is one answer from its beginning on, of committed attempts, none before the commit."""
    pieces = run.log.of(Piece)
    assert [piece.position for piece in pieces] == list(range(len(pieces)))
    numbers = [piece.number for piece in pieces]
    assert numbers == sorted(numbers)
    (end,) = run.log.of(Ended)
    for entry in pieces:
        before = run.log.entries[: run.log.entries.index(entry)]
        is_committed = any(isinstance(e, Committed) and e.number == entry.number for e in before)
        assert is_committed or (end.state is State.DONE and entry.at == end.at)


@law
def a_break_is_told(run: Run) -> None:
    """P12: a committed answer that nothing goes on with ends as broken; one that is whole ends as done."""
    (end,) = run.log.of(Ended)
    is_committed = bool(run.log.of(Committed))
    if end.state is State.FAILED:
        assert not is_committed
    if end.state is State.BROKEN:
        assert is_committed
    if end.state is State.DONE:
        told = run.log.of(Told)
        assert told


@law
def targets_are_judged_by_what_they_did(run: Run) -> None:
    """P13, P18: a truncated answer is a failure, a whole one is none; busy, lost and left ones say nothing.

    Who refuses with a 503 and names no time is out of order.
    """
    told = {entry.number: entry for entry in run.log.of(Told)}
    too_long = {
        given.after.number for given in run.log.of(Given) if given.after is not None and given.after.is_too_long
    }
    first_heard: dict[int, Heard] = {}
    for heard in run.log.of(Heard):
        if kind_of(run.plan, heard):
            first_heard.setdefault(heard.number, heard)
    for given in run.log.of(Given):
        entry = told[given.number]
        if given.number in first_heard:
            assert entry.report is report_of(run.plan, first_heard[given.number])
            assert entry.at == first_heard[given.number].at
        elif given.number in too_long or any(aborted.number == given.number for aborted in run.log.of(Aborted)):
            assert entry.report is Report.NEUTRAL
        else:
            assert entry.report is Report.OK
            assert run.machine.state is State.DONE
            assert entry.at == run.log.of(Ended)[0].at


@law
def the_gate_hears_of_every_end_once(run: Run) -> None:
    """Gate: every ticket comes back, exactly once, and none later than the exchange's end."""
    assert run.gate.num_out == 0
    given = [entry.number for entry in run.log.of(Given)]
    assert sorted(entry.number for entry in run.log.of(Told)) == given
    (end,) = run.log.of(Ended)
    assert all(entry.at <= end.at for entry in run.log.of(Told))


@law
def the_gate_hears_what_began(run: Run) -> None:
    """Gate: every answer that begins, and is no failure, is told once, at that instant; nothing else is."""
    began = [(entry.number, entry.at) for entry in run.log.of(Began)]
    assert [(entry.number, entry.at) for entry in run.log.of(HeardBegin)] == began


@law
def the_client_leaves_nothing_behind(run: Run) -> None:
    """P14: when the client leaves, all that runs is given up at that instant, and the gate hears of each."""
    (end,) = run.log.of(Ended)
    if end.state is not State.GONE:
        return
    heard_by_then = {entry.number for entry in run.log.of(Told) if entry.at < end.at}
    aborted = {entry.number for entry in run.log.of(Aborted)}
    for given in run.log.of(Given):
        assert given.number in heard_by_then or given.number in aborted or _failed_at(run, given.number, end.at)
    assert not run.lives


def _failed_at(run: Run, number: int, at: float) -> bool:
    return any(entry.number == number and entry.at == at for entry in run.log.of(Heard))
