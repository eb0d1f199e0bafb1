"""Where an exchange may stand, and what leads from one state to another: the theory of the machine as data."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an exchange stands."""

    IDLE = "idle"
    OPENING = "opening"
    HOLDING = "holding"
    COMMITTED = "committed"
    RESUMING = "resuming"
    DONE = "done"
    FAILED = "failed"
    BROKEN = "broken"
    GONE = "gone"


# By themselves, as the machine asks for them on every step.
IDLE, OPENING, HOLDING, COMMITTED, RESUMING, DONE, FAILED, BROKEN, GONE = State
ENDED = frozenset({State.DONE, State.FAILED, State.BROKEN, State.GONE})

# (state, report) -> what it may become. Reports that a state does not list are mistakes of the driver, but for those of
# attempts that were given up: these are heard in any state and change nothing. `client_gone` leads to `gone` from
# every state that is not an end, and is heard in those, too.
TABLE: dict[tuple[State, str], frozenset[State]] = {
    (State.IDLE, "start"): frozenset({State.OPENING, State.FAILED}),
    (State.OPENING, "connected"): frozenset({State.OPENING}),
    (State.OPENING, "answered"): frozenset({State.OPENING, State.HOLDING, State.COMMITTED}),
    (State.OPENING, "began"): frozenset({State.HOLDING, State.COMMITTED}),
    (State.OPENING, "failed"): frozenset({State.OPENING, State.FAILED}),
    (State.OPENING, "hedge_due"): frozenset({State.OPENING}),
    (State.HOLDING, "held"): frozenset({State.HOLDING, State.COMMITTED}),
    (State.HOLDING, "hold_due"): frozenset({State.COMMITTED}),
    (State.HOLDING, "failed"): frozenset({State.OPENING, State.FAILED}),
    (State.HOLDING, "finished"): frozenset({State.DONE}),
    (State.COMMITTED, "failed"): frozenset({State.RESUMING, State.BROKEN}),
    (State.COMMITTED, "finished"): frozenset({State.DONE}),
    (State.RESUMING, "connected"): frozenset({State.RESUMING}),
    (State.RESUMING, "answered"): frozenset({State.RESUMING, State.COMMITTED, State.BROKEN}),
    (State.RESUMING, "began"): frozenset({State.COMMITTED}),
    (State.RESUMING, "failed"): frozenset({State.RESUMING, State.BROKEN}),
    **{(state, "client_gone"): frozenset({State.GONE}) for state in State if state not in ENDED},
}


def out_of_order(state: State, *expected: State) -> RuntimeError:
    """Return the error that a report is which its state does not take."""
    return RuntimeError(f"expected state {' or '.join(expected)}, got {state}: a report out of order")
