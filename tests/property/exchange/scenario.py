"""Scripted worlds: a plan, what each attempt at each target meets, what the gate refuses, and when the client leaves.

Everything is drawn through one function that picks from a tuple, the tamest first: Hypothesis picks for the tests, and
shrinks towards what is tame; a seeded generator picks for runs by the thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from headgate.proxy.exchange.plan import CAUSES, FallbackRule, HedgeRule, HoldRule, Plan, RetryRule, Timeouts

T = TypeVar("T")

PASSED_ON = (400, 401, 403, 404, 413, 422)
FAULTS = (500, 502, 503, 504, 529)
STATUSES = (503, 429, 500, 502, 504, 529, 501, 204, 302, *PASSED_ON)
SILENCE = "silence"  # the upstream never says anything more: what follows is up to the timers
# What may happen at each stage of an attempt, in the words of the table of errors.
ENDS: dict[str, tuple[str, ...]] = {
    "connect": ("connect_failed", "connect_timeout", "tls_failed", "pool_full"),
    "send": ("stale_connection", "reset"),
    "head": ("reset", "stale_connection", "malformed_answer", "answer_too_large", SILENCE),
    "event": ("error_event", "truncated", "reset", "malformed_event", SILENCE),
    "body": ("truncated", "reset", "error_event", "malformed_event", SILENCE, "body_timeout"),
}
# What an exchange mostly meets: anything, breaks after the commit point, busy targets, contexts that are too small.
MOODS = {
    "any": ("whole", "status", "body", "connect", "send", "head", "event"),
    "breaking": ("body", "body", "status", "head"),
    "busy": ("status", "status", "status", "head", "whole"),
    "long": ("status", "status", "whole", "connect", "body"),
}
STATUSES_OF = {"busy": (503, 429), "long": (400, 413, 400, 413, 503, 404)}
SPANS = (0.0, 0.001, 0.4, 2.9, 3.0, 3.1, 10.0, 61.0)
RETRY_AFTERS = (None, 0.0, 0.4, 3.0, 3.1, 61.0)


class Picker(Protocol):
    """Picks one of what it is given."""

    def __call__(self, options: Sequence[T], /) -> T: ...


@dataclass(frozen=True)
class Fate:
    """What one attempt meets: the stage at which it ends (`whole`: after the whole answer), and as what.

    `status` is that of the head, where one comes. Spans are in seconds, each from the step before.
    """

    stage: str = "whole"
    kind: str = ""
    status: int = 200
    retry_after_s: float | None = None
    is_too_long: bool = False
    can_resume: bool = True
    num_pieces: int = 2
    connect_s: float = 0.0
    send_s: float = 0.0
    head_s: float = 0.0
    event_s: float = 0.0
    gap_s: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """One exchange. `fates` holds for each target what its attempts meet; the last one repeats.

    `open` are targets whose breaker is open, `budget` is how many attempts there may be besides the targets' first
    ones. `random` is what the machine's randomness returns. `gone_after`: the client leaves after so many things have
    happened, 0: before the exchange starts. `is_large`: the request's body is gone once it was sent.
    `is_ready`: the request is there as a whole when a hedge is due. `is_late`: what is given up reports once more
    before it is gone. `is_timer_first`: at one instant, timers are heard before the network.
    """

    plan: Plan
    fates: tuple[tuple[Fate, ...], ...]
    open: frozenset[int] = frozenset()
    budget: int = 20
    random: float = 0.5
    gone_after: int | None = None
    is_large: bool = False
    is_ready: bool = True
    is_late: bool = False
    is_timer_first: bool = False

    def fate(self, target: int, number: int) -> Fate:
        """Return what the attempt of that number at that target meets."""
        fates = self.fates[target]
        return fates[min(number, len(fates) - 1)]


def _some(pick: Picker, options: tuple[T, ...], is_all_likely: bool = True) -> frozenset[T]:
    """Pick a set: all of them, or any."""
    if is_all_likely and pick((True, True, False)):
        return frozenset(options)
    return frozenset(option for option in options if pick((True, False)))


def draw_fate(pick: Picker, mood: str) -> Fate:
    """Draw what one attempt meets."""
    stage = pick(MOODS[mood])
    kind = pick(ENDS[stage]) if stage in ENDS else ""
    status = pick(STATUSES_OF.get(mood, STATUSES)) if stage == "status" else 200
    return Fate(
        "whole" if stage == "status" else stage,
        kind,
        status,
        pick(RETRY_AFTERS) if status >= 429 else None,
        status in (400, 413) and (mood == "long" or pick((True, False))),
        pick((True, True, False)),
        pick((2, 0, 1, 5)),
        pick(SPANS) if stage == "connect" else pick((0.0, 0.001)),
        pick((0.0, 0.0, 0.4, 3.0)),
        pick(SPANS),
        pick(SPANS),
        pick(SPANS),
    )


def draw_plan(pick: Picker, mood: str, is_rich: bool) -> Plan:
    """Draw what an exchange may do; a rich one allows much."""
    count = pick((2, 3, 4, 1)) if is_rich else pick((2, 1, 3, 4, 0))
    deadlines = (30.0, 600.0, 5.0) if is_rich else (30.0, 600.0, 5.0, 0.5, float("inf"), 0.0)
    return Plan(
        timeouts=tuple(Timeouts(*(pick((60.0, 5.0, 1.0)) for _ in range(3))) for _ in range(count)),
        deadline=pick(deadlines),
        may_resend=is_rich or pick((True, False)),
        is_fallback_allowed=pick((True, True, True, False)),
        max_attempts=pick((6, 8)) if is_rich else pick((6, 1, 2, 3)),
        busy_wait_s=pick((3.0, 0.0)),
        commit=pick(("first_event", "head")),
        retry=RetryRule(
            pick((2, 1, 3)),
            _some(pick, ("connect", "reset", "status", "malformed", "error_event", "busy")),
            _some(pick, (*FAULTS, 501)),
            pick((0.025, 0.0, 2.0)),
            pick((1.0, 3.0)),
        ),
        fallback=FallbackRule(_some(pick, tuple(sorted(set(CAUSES.values())))), _some(pick, FAULTS)),
        hedge=HedgeRule(pick((0.4, 0.05, 5.0)), pick((1, 2))) if pick((False, True)) else None,
        hold=_hold(pick) if pick((False, True)) else None,
        contexts=tuple(
            pick((4096, 8192, 4096, 32768, None)) for _ in range(count if mood == "long" else pick((0, count, 1)))
        ),
        resume_tries=pick((3, 1, 2)) if mood == "breaking" else pick((0, 1, 2, 3)),
    )


def _hold(pick: Picker) -> HoldRule:
    cap_bytes = pick((1 << 20, 30))
    if pick((False, True)):
        return HoldRule(span_s=pick((0.0, 0.5)), is_whole=True, cap_bytes=cap_bytes)
    return HoldRule(pick((2, 0, 1, 4)), pick((0.0, 0.5, 20.0)), False, cap_bytes)


def draw_scenario(pick: Picker) -> Scenario:
    """Draw one exchange."""
    mood = pick(("any", "any", "breaking", "breaking", "busy", "long"))
    is_rich = pick((True, True, False))
    plan = draw_plan(pick, mood, is_rich)
    targets = range(len(plan.timeouts))
    return Scenario(
        plan,
        tuple(tuple(draw_fate(pick, mood) for _ in range(pick((1, 2, 3)))) for _ in targets),
        frozenset(target for target in targets if pick((False, False, False, True))),
        20 if is_rich else pick((20, 0, 1, 2)),
        pick((0.5, 0.0, 0.999)),
        pick((4, 0, 1, 2, 3, 5, 6, 8, 10, 12, 15, 18)) if pick((False, False, False, True)) else None,
        not is_rich and pick((False, False, True)),
        pick((True, True, True, False)),
        pick((False, True)),
        pick((False, True)),
    )


@st.composite
def drawn(draw: st.DrawFn, what: Callable[[Picker], T]) -> T:
    """Let Hypothesis draw what a function picks."""

    def pick(options: Sequence[Any]) -> Any:
        return draw(st.sampled_from(options))

    return what(pick)


scenarios = drawn(draw_scenario)


def seeded(seed: int) -> Scenario:
    """Return the scenario of a seed: the same on any machine."""
    return draw_scenario(Random(seed).choice)
