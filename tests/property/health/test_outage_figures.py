"""What an outage of the first target costs, in attempts and in time, with the settings that nobody has tuned.

The breaker stands between requests that come at fixed instants and a target that is down for a while. No retries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.proxy.upstream.health.breaker import Admission, Breaker, BreakerSettings

from ...virtual_clock import run

OUTAGE_S = 60.0
ANSWER_S = 0.2


@dataclass
class Seen:
    """When the first target was asked, and when it answered well."""

    attempts: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)

    def num_in_outage(self) -> int:
        return sum(instant < OUTAGE_S for instant in self.attempts)


async def serve(arrivals: Sequence[float], fails_in_s: Callable[[int], float]) -> Seen:
    """Let requests arrive at these instants; the target is down from 0 to `OUTAGE_S`."""
    loop, seen, breaker = asyncio.get_running_loop(), Seen(), Breaker(BreakerSettings())

    async def request(number: int, arrival: float) -> None:
        await asyncio.sleep(arrival)
        now = loop.time()
        if breaker.admit(now) is Admission.OPEN:
            return  # the fallback answers
        ticket, is_down = breaker.ticket, now < OUTAGE_S
        seen.attempts.append(now)
        await asyncio.sleep(fails_in_s(number) if is_down else ANSWER_S)
        if is_down:
            breaker.failed(loop.time(), ticket)
        else:
            breaker.succeeded(loop.time(), ticket)
            seen.answers.append(loop.time())

    async with asyncio.TaskGroup() as group:
        for number, arrival in enumerate(arrivals):
            group.create_task(request(number, arrival))
    return seen


@given(
    gap_s=st.floats(3.0, 4.0) | st.sampled_from((3.0, 4.0)),
    offset_s=st.floats(0.0, 4.0),
    fails_in_s=st.sampled_from((0.0, 0.001, 0.5, 2.0)),
)
@settings(max_examples=200, deadline=None)
def test_twenty_requests_over_an_outage_cost_at_most_four_attempts(
    gap_s: float, offset_s: float, fails_in_s: float
) -> None:
    arrivals = [offset_s + number * gap_s for number in range(60)]
    seen = run(serve(arrivals, lambda number: fails_in_s))
    assert seen.num_in_outage() <= 4
    assert seen.answers[0] - OUTAGE_S <= 30


@given(
    gap_s=st.floats(0.2, 4.0),
    offset_s=st.floats(0.0, 4.0),
    fails_in_s=st.sampled_from((0.0, 0.001, 0.1)),
)
@settings(max_examples=60, deadline=None)
def test_it_is_used_again_soon_and_wholly(gap_s: float, offset_s: float, fails_in_s: float) -> None:
    """Within 30 s of its recovery it answers, and soon after every request goes to it."""
    arrivals = [offset_s + number * gap_s for number in range(int(110 / gap_s))]
    seen = run(serve(arrivals, lambda number: fails_in_s))
    first = seen.answers[0]
    assert seen.num_in_outage() <= 4
    assert first - OUTAGE_S <= 30
    whole = [arrival for arrival in arrivals if arrival >= first + 8]
    assert whole and set(whole) <= {round_to(arrivals, instant) for instant in seen.attempts}


def round_to(arrivals: Sequence[float], instant: float) -> float:
    """Return the arrival that an attempt began at: the clock of the loop rounds."""
    return min(arrivals, key=lambda arrival: abs(arrival - instant))


@given(
    second_s=st.floats(5.0, 59.0),
    ends=st.lists(st.floats(0.0, 4.0), min_size=50, max_size=50),
)
@settings(max_examples=100, deadline=None)
def test_a_second_wave_into_an_outage_costs_at_most_one_attempt(second_s: float, ends: list[float]) -> None:
    """Fifty requests at once, twice; those of the first wave fail one by one, some of them late."""
    seen = run(serve([0.0] * 50 + [second_s] * 50, lambda number: ends[number % 50]))
    in_second = [instant for instant in seen.attempts if instant > 0]
    assert len(seen.attempts) - len(in_second) == 50  # nobody can know yet
    assert len(in_second) <= 1


def test_a_silent_target_is_probed_again_though_its_probe_hangs() -> None:
    """A probe that says nothing for a minute does not hold up the next one for longer than the longest wait."""
    arrivals = [float(second) for second in range(120)]
    seen = run(serve(arrivals, lambda number: 0.5 if number < 5 else 100.0))
    assert seen.answers[0] <= OUTAGE_S + 30
