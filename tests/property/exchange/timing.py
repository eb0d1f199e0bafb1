"""When silence ends an attempt, reckoned anew from an exchange's log."""

from __future__ import annotations

from headgate.proxy.exchange.attempt import Phase, Purpose

from .log import BodyGone, Committed, Entry, Given, Heard, Moved, Piece
from .reckoning import Reckoning
from .world import NEVER, Run

LEAST_IDLE_S = 2.0
SILENCES = {"connect", "silent", "first_event"}
KINDS = {
    Phase.CONNECTING: "connect_timeout",
    Phase.AWAITING_HEAD: "silent",
    Phase.AWAITING_EVENT: "first_event_timeout",
    Phase.ANSWERING: "stalled",
}


def others(run: Run, before: list[Entry], heard: Heard) -> int:
    """Return for how many attempts at other targets, or to continue the answer, time is to be left."""
    plan, given = run.plan, [entry for entry in before if isinstance(entry, Given)]
    room = plan.max_attempts - len(given)
    is_gone = any(isinstance(entry, BodyGone) for entry in before)
    if not plan.may_resend or is_gone or room <= 0:
        return 0
    if any(isinstance(entry, Committed) for entry in before):
        return 1 if _resumes_since_it_moved(before) < plan.resume_tries else 0
    reckoning = Reckoning(run.scenario, plan, before, heard)
    left = len(reckoning.unasked()) + len(reckoning.refused())
    return min(left, room) if plan.fallback.on >= SILENCES else 0


def _resumes_since_it_moved(before: list[Entry]) -> int:
    tries = 0
    for entry in before:
        if isinstance(entry, Piece):
            tries = 0
        elif isinstance(entry, Given) and entry.purpose is Purpose.RESUME:
            tries += 1
    return tries


def due_at(run: Run, before: list[Entry], heard: Heard) -> tuple[float, set[str]]:
    """Return when the attempt that was silent is to be given up, and the names that this failure may have."""
    moved = [(i, e) for i, e in enumerate(before) if isinstance(e, Moved) and e.number == heard.number]
    last = moved[-1][1]
    deadline, timeouts = run.plan.deadline, run.plan.timeouts[heard.target]
    others_now = others(run, before, heard)
    if last.phase is Phase.ANSWERING:
        part_s = max(LEAST_IDLE_S, (deadline - last.at) / (others_now + 2)) if others_now else NEVER
        at = last.at + min(timeouts.idle_s, part_s)
    else:
        own_s = {Phase.AWAITING_HEAD: timeouts.head_s, Phase.AWAITING_EVENT: timeouts.first_event_s}
        share = _share_at(run, moved, others_now) if others_now else NEVER
        at = min(last.at + own_s.get(last.phase, NEVER), share)
    return (deadline, {"deadline"}) if at >= deadline else (at, {KINDS[last.phase]})


def _share_at(run: Run, moved: list[tuple[int, Moved]], num_others: int) -> float:
    """Return by when the attempt must have begun: its part of the time from when it last moved before the head."""
    _, last = [(i, e) for i, e in moved if e.phase in (Phase.CONNECTING, Phase.AWAITING_HEAD)][-1]
    return last.at + (run.plan.deadline - last.at) / (num_others + 2)
