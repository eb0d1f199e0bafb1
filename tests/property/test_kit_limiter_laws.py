"""The kit's laws of limiters: ours keep them, and each finds a limiter that breaks it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from headgate.plugins.rate_limit import RateLimit
from headgate.plugins.testing import make_plugin
from headgate.plugins.testing.laws import LimiterMachine
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Reject, Reservation, Settlement

LIMIT = 2


class AtOnce:
    """Admits `LIMIT` requests of a caller at once; where `flaw` is given it does one thing wrong."""

    def __init__(self, flaw: str = "") -> None:
        self.flaw = flaw
        self.running: Counter[str] = Counter()
        self.num_asked = 0

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Any:
        flaw, caller = self.flaw, exchange.identity.tenant if exchange.identity else ""
        self.num_asked += 1
        if flaw == "raises" and self.num_asked == 3:
            raise RuntimeError("broken")
        if flaw == "answers wrongly" and self.num_asked == 3:
            return "wrong"
        if flaw == "no room for newcomers" and caller not in self.running and self.running.total() >= LIMIT:
            return self._refuse()
        if self.running[caller] >= LIMIT + (flaw == "one too many"):
            return self._refuse()
        self.running[caller] += 1

        def settle(settlement: Settlement) -> None:
            if flaw == "settling raises":
                raise RuntimeError("broken")
            if flaw == "keeps a place where the client leaves" and settlement.is_client_gone:
                return
            if flaw == "keeps a place after an error" and settlement.error == "reset":
                return
            self.running[caller] -= 1

        fields = (("X-Left", "a\r\nb"),) if flaw == "splits fields" else ()
        return Reservation(None if flaw == "gives nothing back" else settle, fields)

    def _refuse(self) -> Reject:
        if self.flaw == "an unknown kind":
            return Reject("go_away")
        if self.flaw == "a strange status":
            return Reject("not_implemented")
        wait = "soon" if self.flaw == "says soon" else "1"
        return Reject("too_many_parallel", fields=(("Retry-After", wait),))


class PerSecond:
    """Admits `LIMIT` requests a second, by windows that slide (or, as a flaw, by windows that stand)."""

    def __init__(self, flaw: str = "") -> None:
        self.flaw = flaw
        self.admitted: dict[str, list[float]] = {}

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | None:
        caller, now = exchange.identity.tenant if exchange.identity else "", exchange.now()
        window = int(now / 2) * 2.0 if self.flaw == "standing windows" else now - 2.0
        recent = [at for at in self.admitted.get(caller, []) if at > window]
        if len(recent) >= LIMIT:
            wait = "1" if self.flaw == "calls back too early" else "2"
            return Reject("rate_limited", fields=(("Retry-After", wait),))
        self.admitted[caller] = [*recent, now]
        return None


class OursPerSecond(LimiterMachine):
    """`rate_limit`, by key."""

    burst, per_s = 3, 2.0

    def make(self) -> RateLimit:
        return make_plugin(RateLimit, {"rate": "2/s", "burst": 3}, name="rate_limit")


class OursTogether(LimiterMachine):
    """`rate_limit`, by route: all callers are one."""

    burst, per_s, counts_together = 5, 0.5, True

    def make(self) -> RateLimit:
        return make_plugin(RateLimit, {"rate": "30/m", "burst": 5, "by": ["route"]}, name="rate_limit")


class Sound(LimiterMachine):
    """The limiter of this test, as it should be."""

    max_at_once = LIMIT

    def make(self) -> AtOnce:
        return AtOnce()


class SoundPerSecond(LimiterMachine):
    """The other one."""

    burst, per_s = LIMIT, 1.0

    def make(self) -> PerSecond:
        return PerSecond()


for machine in (OursPerSecond, OursTogether, Sound, SoundPerSecond):
    machine.TestCase.settings = settings(max_examples=30, stateful_step_count=30)
TestOursPerSecond = OursPerSecond.TestCase
TestOursTogether = OursTogether.TestCase
TestSound = Sound.TestCase
TestSoundPerSecond = SoundPerSecond.TestCase

QUICK = settings(max_examples=1000, stateful_step_count=40, database=None, deadline=None, phases=[Phase.generate])
FLAWS = {
    "raises": "neither raises nor answers wrongly",
    "answers wrongly": "neither raises nor answers wrongly",
    "no room for newcomers": "a caller that used nothing is admitted",
    "one too many": "at most 2 requests of a caller run at once",
    "settling raises": "does not raise",
    "gives nothing back": "given everything back is admitted",
    "keeps a place where the client leaves": "given everything back is admitted",
    "keeps a place after an error": "given everything back is admitted",
    "splits fields": "neither raises nor answers wrongly",
    "an unknown kind": "neither raises nor answers wrongly",
    "a strange status": "refuses with 403, 429 or 503",
    "says soon": "Retry-After is whole seconds",
}
FLAWS_PER_SECOND = {
    "standing windows": "a caller is admitted at most 2",
    "calls back too early": "who comes back when Retry-After says is admitted",
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_limiter_that_breaks_a_law_is_found(flaw: str) -> None:
    class Flawed(Sound):
        def make(self) -> AtOnce:
            return AtOnce(flaw)

    with pytest.raises(AssertionError, match=FLAWS[flaw]):
        run_state_machine_as_test(Flawed, settings=QUICK)


@pytest.mark.parametrize("flaw", FLAWS_PER_SECOND)
def test_a_rate_that_breaks_a_law_is_found(flaw: str) -> None:
    class Flawed(SoundPerSecond):
        def make(self) -> PerSecond:
            return PerSecond(flaw)

    with pytest.raises(AssertionError, match=FLAWS_PER_SECOND[flaw]):
        run_state_machine_as_test(Flawed, settings=QUICK)


def test_a_machine_without_a_bound_is_refused() -> None:
    class Unbounded(LimiterMachine):
        pass

    with pytest.raises(TypeError, match="Unbounded: expected `max_at_once`, or `burst` with `per_s`"):
        Unbounded()
