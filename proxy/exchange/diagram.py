"""The machine's table as a diagram, for the documents."""

from __future__ import annotations

from collections.abc import Iterator

from .states import ENDED, TABLE, State


def diagram() -> str:
    """Return the states and what leads from each to which, one line a step, in the order of the table.

    What every state takes alike (the client leaving) is left out; so is what changes nothing.
    """
    width = max(len(state) for state in State)
    lines = [f"{state:<{width}}  {label:<28}  {'  '.join(targets)}" for state, label, targets in _steps()]
    return "\n".join(line.rstrip() for line in lines)


def _steps() -> Iterator[tuple[str, str, list[str]]]:
    for (state, report), targets in TABLE.items():
        if report == "client_gone" or targets == {state}:
            continue
        ordered = [target for target in State if target in targets]
        yield state, f"── {report} ──►", [f"{target}{' ■' if target in ENDED else ''}" for target in ordered]
