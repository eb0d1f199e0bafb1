"""A driver of the exchange machine on a virtual clock: it honours timers and commands, and believes in the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from headgate.proxy.exchange.attempt import Attempt, Phase
from headgate.proxy.exchange.command import WAIT, Break, Command, Commit, GiveUp
from headgate.proxy.exchange.machine import ExchangeMachine
from headgate.proxy.exchange.states import ENDED, TABLE, State

from .gates import Judge, ScriptedJudge, WatchedGate
from .log import Aborted, Began, BodyGone, Committed, Ended, Given, Heard, Held, Log, Moved, Piece, Started
from .reckoning import kind_of
from .scenario import SILENCE, Fate, Scenario

BEGUN_AT = 1000.0
PIECE_BYTES, STEPS_AT_MOST = 10, 1000
NEVER = float("inf")
SAYS_NOTHING = ("connected", "sent", "ping", "start", "hedge_due", "finished", "client_gone")
Cell = tuple[State, str, State]


def steps_of(fate: Fate) -> list[tuple[float, str]]:
    """Return what happens to an attempt, each thing after the span since the one before."""
    steps = [(0.0, "start")]
    if fate.stage == "connect":
        return [*steps, (fate.connect_s, fate.kind)]
    steps.append((fate.connect_s, "connected"))
    if fate.stage == "send":
        return [*steps, (fate.send_s, fate.kind)]
    steps.append((fate.send_s, "sent"))
    if fate.stage != "head":
        steps += [(fate.head_s, "answered"), (fate.event_s / 2, "ping")]
        if fate.stage != "event":
            steps += [(fate.event_s / 2, "began"), *[(fate.gap_s, "piece")] * fate.num_pieces]
    last_s = {"head": fate.head_s, "event": fate.event_s}.get(fate.stage, fate.gap_s)
    if fate.kind != SILENCE:
        steps.append((last_s, fate.kind or "finished"))
    return steps


@dataclass
class Live:
    """An attempt under way; `steps` holds what is still to come, the next one last."""

    attempt: Attempt
    fate: Fate
    steps: list[tuple[float, str]]
    next_at: float
    has_sent: bool = False
    num_pieces: int = 0

    def take(self) -> str:
        """Take the step that is due; the next one is due after its span."""
        name = self.steps.pop()[1]
        self.next_at = self.next_at + self.steps[-1][0] if self.steps else NEVER
        return name


class Run:
    """One exchange in a scripted world. `step` does what comes next, at `next_at`."""

    def __init__(self, scenario: Scenario, judge: Judge | None = None, begun_at: float = BEGUN_AT) -> None:
        self.scenario = scenario
        self.begun_at = begun_at
        self.plan = replace(scenario.plan, deadline=begun_at + scenario.plan.deadline)
        self.log = Log()
        self.gate = WatchedGate(self.log, judge or ScriptedJudge(scenario))
        self.machine = ExchangeMachine(self.plan, lambda: scenario.random, self.gate)
        self.machine.is_resumable = True
        self.cells: Counter[Cell] = Counter()
        self.lives: dict[int, Live] = {}
        self.late: list[Live] = []
        self.num_at: Counter[int] = Counter()
        self.num_delivered = 0
        self.is_body_gone = False
        self.num_steps = 0
        self.now = begun_at
        if scenario.gone_after == 0:
            self.leave()
        else:
            command = self._hear("start", None, lambda: self.machine.start(self.now))
            assert isinstance(command, Attempt | GiveUp)
            self._obey(command, None, None)

    @property
    def is_ended(self) -> bool:
        """Whether the exchange is over."""
        return self.machine.state in ENDED

    # -- what comes next

    def next_at(self) -> float:
        """Return when `step` is to be called; infinity where nothing more will happen."""
        return self._next()[0]

    def step(self) -> None:
        """Do what comes next."""
        self.num_steps += 1
        assert self.num_steps < STEPS_AT_MOST, "the exchange does not come to an end"
        at, _, _, act = self._next()
        self.now = max(self.now, at)  # an instant that has passed means at once
        act()

    def _next(self) -> tuple[float, int, int, Callable[[], None]]:
        timer, network = (0, 1) if self.scenario.is_timer_first else (1, 0)
        found: list[tuple[float, int, int, Callable[[], None]]] = [(NEVER, 9, 0, lambda: None)]
        found += [(live.next_at, network, 0, partial(self._late_step, live)) for live in self.late]
        if self.is_ended:
            return min(found, key=lambda entry: entry[:3])
        for number, live in self.lives.items():
            found.append((live.next_at, network, number, partial(self._network_step, live)))
        expires_at, number = min((self._timer_of(live)[0], number) for number, live in self.lives.items())
        assert expires_at <= self.plan.deadline, "no timer ends this exchange by its deadline"
        found.append((expires_at, timer, 1, partial(self._expire, self.lives[number])))
        found.append((self.machine.hold_due_at(), timer, 2, self._release))
        found.append((self.machine.hedge_due_at(), timer, 3, self._hedge))
        if self.scenario.gone_after is not None and self.num_steps > self.scenario.gone_after:
            found.append((self.now, -1, 0, self.leave))
        return min(found, key=lambda entry: entry[:3])

    # -- what happens

    def leave(self) -> None:
        """The client leaves."""
        self._hear("client_gone", None, lambda: self.machine.client_gone(self.now))
        self._end("gone")

    def _network_step(self, live: Live) -> None:
        name, attempt, machine = live.take(), live.attempt, self.machine
        if name == "start":
            self.log.add(Started(self.now, attempt.number, attempt.target, attempt.purpose))
            self.log.add(Moved(self.now, attempt.number, Phase.CONNECTING))
        elif name == "connected":
            self._hear(name, attempt, lambda: machine.connected(attempt, self.now))
            self.log.add(Moved(self.now, attempt.number, Phase.AWAITING_HEAD))
        elif name == "sent":
            live.has_sent = True
            machine.progressed(attempt, self.now)
            self.log.add(Moved(self.now, attempt.number, Phase.AWAITING_HEAD))
            if self.scenario.is_large:
                self.is_body_gone = True
                machine.body_gone()
                self.log.add(BodyGone(self.now))
        elif name == "answered":
            self._answered(live)
        elif name == "ping":
            machine.progressed(attempt, self.now)
            if attempt.phase is Phase.ANSWERING:
                self.log.add(Moved(self.now, attempt.number, attempt.phase))
        elif name in ("began", "piece"):
            self._piece(live)
        elif name == "finished":
            self._finished(live)
        else:
            self._fail(live, name, is_by_timer=False)

    def _answered(self, live: Live) -> None:
        fate, attempt = live.fate, live.attempt
        heard = self._heard(live, "head")
        self.log.add(heard)
        command = self._hear(
            "answered",
            attempt,
            lambda: self.machine.answered(
                attempt, fate.status, self.now, fate.retry_after_s, is_too_long=fate.is_too_long
            ),
        )
        if attempt.phase is Phase.ANSWERING and not kind_of(self.plan, heard):
            self.log.add(Began(self.now, attempt.number))
        if attempt.phase is not Phase.OVER:
            self.log.add(Moved(self.now, attempt.number, attempt.phase))
        self._obey(command, live, heard)

    def _piece(self, live: Live) -> None:
        attempt = live.attempt
        live.num_pieces += 1
        if attempt.phase is Phase.AWAITING_EVENT:
            command = self._hear("began", attempt, lambda: self.machine.began(attempt, self.now))
            self.log.add(Began(self.now, attempt.number))
            self._obey(command, live, None)
        else:
            self.machine.progressed(attempt, self.now)
        self.log.add(Moved(self.now, attempt.number, attempt.phase))
        if self.machine.state is State.HOLDING:
            self._hold(live, "held")
        elif live.num_pieces > self._num_passed(attempt):
            self._deliver(live)

    def _finished(self, live: Live) -> None:
        self._hear("finished", live.attempt, lambda: self.machine.finished(live.attempt, self.now))
        self._deliver(live)
        self._end("done")

    def _timer_of(self, live: Live) -> tuple[float, str]:
        """Return when something ends an attempt, and as what; who connects is not waited for beyond its share."""
        attempt = live.attempt
        at, kind = self.machine.timer_of(attempt)
        if attempt.phase is Phase.CONNECTING and attempt.at <= self.machine.begin_by(attempt) < at:
            return self.machine.begin_by(attempt), "connect_timeout"
        return at, kind

    def _expire(self, live: Live) -> None:
        self._fail(live, self._timer_of(live)[1], is_by_timer=True)

    def _fail(self, live: Live, kind: str, *, is_by_timer: bool) -> None:
        heard = self._heard(live, kind, is_by_timer=is_by_timer)
        self.log.add(heard)
        command = self._hear(
            "failed",
            live.attempt,
            lambda: self.machine.failed(
                live.attempt, kind, self.now, has_sent=live.has_sent, can_resume=live.fate.can_resume
            ),
        )
        self._obey(command, live, heard)

    def _hedge(self) -> None:
        is_ready = self.scenario.is_ready
        hedge = self._hear("hedge_due", None, lambda: self.machine.hedge_due(self.now, is_ready=is_ready))
        assert hedge is not None or self.machine.hedge_due_at() == NEVER, "what was denied is asked for again"
        self._obey(hedge, None, None)

    def _release(self) -> None:
        (live,) = self.lives.values()
        self._hold(live, "hold_due")

    def _hold(self, live: Live, report: str) -> None:
        attempt, held = live.attempt, (live.num_pieces, live.num_pieces * PIECE_BYTES)
        command = self._hear(report, attempt, lambda: self.machine.held(attempt, *held, self.now))
        self.log.add(Held(self.now, attempt.number, *held, isinstance(command, Commit)))
        self._obey(command, live, None)

    def _late_step(self, live: Live) -> None:
        """Something given up reports once more: this changes nothing."""
        name, attempt, machine, now = live.take(), live.attempt, self.machine, self.now
        self.late.remove(live)
        assert machine.timer_of(attempt) == (self.plan.deadline, "deadline")
        before = (machine.state, list(machine.running), list(self.log.entries), machine.num_attempts)
        said: Command | None = None
        if name == "connected":
            machine.connected(attempt, now)
        elif name in ("sent", "ping"):
            machine.progressed(attempt, now)
        elif name == "answered":
            said = machine.answered(attempt, live.fate.status, now, is_too_long=live.fate.is_too_long)
        elif name == "began":
            said = machine.began(attempt, now)
        elif name == "piece":
            said = machine.held(attempt, 1 << 20, 1 << 30, now)
        elif name == "finished":
            machine.finished(attempt, now)
        elif name != "start":
            said = machine.failed(attempt, name, now, has_sent=True, can_resume=True)
        is_ended = name not in ("answered", "began", "piece") and self.is_ended
        assert said in ((None, WAIT, GiveUp(name)) if is_ended else (None, WAIT)), f"{name} led to {said}"
        assert said is not None or name in SAYS_NOTHING
        assert before == (machine.state, machine.running, self.log.entries, machine.num_attempts)

    # -- what the machine says

    def _hear(self, report: str, attempt: Attempt | None, call: Callable[[], Command | None]) -> Command | None:
        """Report, and hold what becomes of the exchange against the table."""
        before = self.machine.state
        command = call()
        after = self.machine.state
        assert (before, report) in TABLE, f"{report} is not heard in {before}"
        assert after in TABLE[before, report], f"{report} led from {before} to {after}"
        assert command is not None or report in SAYS_NOTHING
        assert (after in ENDED) is not bool(self.machine.running), "only what is over has no attempt under way"
        self.cells[before, report, after] += 1
        return command

    def _obey(self, command: Command | None, live: Live | None, heard: Heard | None) -> None:
        if live is not None and live.attempt.phase is Phase.OVER:
            self.lives.pop(live.attempt.number)
        if isinstance(command, Attempt):
            self._give(command, heard)
        elif isinstance(command, Commit) and live is not None:
            self._commit(live)
        elif isinstance(command, GiveUp | Break):
            self._end(command.kind)
        self._abort_losers()

    def _give(self, attempt: Attempt, heard: Heard | None) -> None:
        fate = self.scenario.fate(attempt.target, self.num_at[attempt.target])
        self.num_at[attempt.target] += 1
        self.lives[attempt.number] = Live(attempt, fate, steps_of(fate)[::-1], attempt.at)
        self.log.add(
            Given(self.now, attempt.number, attempt.target, attempt.purpose, attempt.at, attempt.is_fresh, heard)
        )

    def _commit(self, live: Live) -> None:
        size_bytes = live.num_pieces * PIECE_BYTES
        self.log.add(Committed(self.now, live.attempt.number, live.num_pieces, size_bytes, live.fate.status))
        self._deliver(live)

    def _deliver(self, live: Live) -> None:
        """Give the client what has come and was not given yet."""
        for _ in range(live.num_pieces - self._num_passed(live.attempt)):
            self.machine.moved()
            self.log.add(Piece(self.now, live.attempt.number, self.num_delivered))
            self.num_delivered += 1

    def _num_passed(self, attempt: Attempt) -> int:
        return sum(piece.number == attempt.number for piece in self.log.of(Piece))

    def _abort_losers(self) -> None:
        for attempt in self.machine.losers:
            live = self.lives.pop(attempt.number)
            self.log.add(Aborted(self.now, attempt.number))
            if self.scenario.is_late and live.steps:
                self.late.append(live)
        self.machine.losers.clear()

    def _end(self, kind: str) -> None:
        self.log.add(Ended(self.now, kind, self.machine.state))
        self._abort_losers()

    def _heard(self, live: Live, kind: str, *, is_by_timer: bool = False) -> Heard:
        fate, attempt = live.fate, live.attempt
        is_head = kind == "head"
        return Heard(
            self.now,
            attempt.number,
            attempt.target,
            kind,
            fate.status if is_head else 0,
            fate.retry_after_s if is_head else None,
            is_head and fate.is_too_long,
            live.has_sent,
            not self.is_body_gone,
            fate.can_resume,
            self.machine.state,
            len(self.machine.running) > 1,
            is_by_timer,
        )


def play(scenario: Scenario) -> Run:
    """Run one exchange to its end, and what it gave up to its last report."""
    run = Run(scenario)
    while run.next_at() < NEVER:
        run.step()
    assert run.is_ended
    return run
