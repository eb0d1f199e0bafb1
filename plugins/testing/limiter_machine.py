"""Laws of any limiter: what it admits, what it gives back, and what it tells the refused."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ...proxy.errors import KINDS, GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.record import Record
from ...proxy.verdicts import Identity, Reject, Reservation
from .exchanges import make_exchange
from .law_machine import LawMachine

_CALLERS = ("ann", "bob", "eve")
_NS = 1e-9  # what counting in whole nanoseconds may be off by, for each request
_SPARE_S = 1.0
_ROUNDING_S = 1e-6  # of instants


@dataclass(slots=True)
class _Caller:
    """What one caller has seen. `comes_back_at`: when it was told to come back, and has not been admitted since."""

    admitted_at: list[float] = field(default_factory=list)
    num_running: int = 0
    comes_back_at: float | None = None


class LimiterMachine(LawMachine):
    """Requests of three callers begin, are refused, and end in every way, while time passes.

    The plugin is to be made with what is declared here: at most `max_at_once` requests of a caller at a time; at most
    `burst` at once and `per_s` sustained, which stand together. `counts_together`: all callers are one.
    """

    stage: ClassVar[str] = "ratelimit"
    max_at_once: ClassVar[int | None] = None
    burst: ClassVar[int | None] = None
    per_s: ClassVar[float | None] = None
    counts_together: ClassVar[bool] = False

    def __init__(self) -> None:
        if (self.burst is None) is not (self.per_s is None) or (self.burst is None and self.max_at_once is None):
            raise TypeError(f"{type(self).__name__}: expected `max_at_once`, or `burst` with `per_s`, or all three")
        super().__init__()
        self._callers = {name: _Caller() for name in _CALLERS}
        if self.counts_together:
            self._callers = dict.fromkeys(_CALLERS, _Caller())
        self._running: list[tuple[_Caller, Record]] = []

    def exchange_of(self, caller: str) -> Exchange:
        """Return a request of a caller; to be replaced where a limiter tells callers apart by something else."""
        address = f"192.0.2.{1 + _CALLERS.index(caller)}"
        identity = Identity(f"key-of-{caller}", caller)
        return make_exchange(identity=identity, client=address, now=self.loop.time)

    @rule(name=st.sampled_from(_CALLERS))
    def ask(self, name: str) -> None:
        """A request comes."""
        caller, task = self._callers[name], self.begin(self.stage, self.exchange_of(name))
        assert task.done(), "a limiter does not wait where time stands still"
        run = task.result()
        self.check_run(run)
        assert run.error is None, f"a limiter answers, it raises no {run.error!r}"
        if isinstance(run.answer, Reject):
            self._refused(caller, run.answer)
        else:
            self._admitted(caller, run.answer)

    @precondition(lambda self: self._running)
    @rule(data=st.data(), how=st.sampled_from(("whole", "error", "client_gone")))
    def end(self, data: Any, how: str) -> None:
        """A request ends: the gateway settles what was reserved for it."""
        caller, record = self._running.pop(data.draw(st.integers(0, len(self._running) - 1), "which"))
        caller.num_running -= 1
        record.status, record.is_complete = (200, True) if how == "whole" else (502, False)
        record.is_client_gone = how == "client_gone"
        if how != "whole":
            record.error = GatewayError("client_gone" if record.is_client_gone else "reset")
        record.release()
        self.check_failures()

    @rule(seconds=st.floats(0.001, 5.0) | st.sampled_from((1.0, 60.0, 3600.0)))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.let_run(seconds)

    def _admitted(self, caller: _Caller, reservation: Reservation | None) -> None:
        caller.admitted_at.append(self.now)
        caller.num_running += 1
        caller.comes_back_at = None
        record = Record(self.now)
        if reservation is not None:
            settle = reservation.settle
            watched = self.guarded(settle) if settle is not None else None
            record.reserve(dataclasses.replace(reservation, settle=watched))
            _check_fields(reservation.fields)
        self._running.append((caller, record))
        if self.max_at_once is not None:
            assert caller.num_running <= self.max_at_once, (
                f"at most {self.max_at_once} requests of a caller run at once, got {caller.num_running}"
            )
        self._check_windows(caller)

    def _check_windows(self, caller: _Caller) -> None:
        if self.burst is None or self.per_s is None:
            return
        for place, began_at in enumerate(caller.admitted_at):
            number, span_s = len(caller.admitted_at) - place, self.now - began_at
            most = self.burst + self.per_s * (span_s + number * _NS)
            assert number <= most, (
                f"in {span_s:g} s a caller is admitted at most {self.burst} + {self.per_s:g}/s times, got {number}"
            )

    def _refused(self, caller: _Caller, refusal: Reject) -> None:
        kind = KINDS[refusal.kind]
        assert kind.status in (403, 429, 503), f"a limiter refuses with 403, 429 or 503, got {kind.status}"
        _check_fields(refusal.fields)
        assert caller.admitted_at, "a caller that used nothing is admitted, whatever others did"
        assert not self._has_room(caller), (
            f"a caller that has given everything back is admitted: {caller.num_running} of its requests run"
        )
        told = caller.comes_back_at
        assert told is None or self.now < told + _ROUNDING_S or caller.num_running, (
            "who comes back when Retry-After says is admitted"
        )
        wait = next((value for name, value in refusal.fields if name.lower() == "retry-after"), None)
        if wait is not None and told is None:
            caller.comes_back_at = self.now + int(wait)

    def _has_room(self, caller: _Caller) -> bool:
        """Whether nothing of a limit can be in use any more."""
        if self.max_at_once is not None and caller.num_running >= self.max_at_once:
            return False
        if self.burst is None or self.per_s is None:
            return True
        return self.now - caller.admitted_at[-1] >= self.burst / self.per_s + _SPARE_S


def _check_fields(fields: tuple[tuple[str, str], ...]) -> None:
    for name, value in fields:
        if name.lower() == "retry-after":
            assert value.isascii() and value.isdigit(), f"Retry-After is whole seconds, got {value!r}"
