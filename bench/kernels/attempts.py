"""Things that may fail in any way: a kernel, a peer, a configuration. What fails is a row of the report."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .work import TRACE_CHARACTERS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, in a line, with the end of its traceback."""

    error: Exception
    said: str
    trace: str


def attempt(call: Callable[[], T]) -> T | Failure:
    """Return what a call gives, or how it failed."""
    try:
        return call()
    except Exception as error:
        return Failure(error, describe(error), traceback.format_exc()[-TRACE_CHARACTERS:])


def describe(error: BaseException) -> str:
    """Return an error in a line: its type and the line of its message that says most, the last of Triton's."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = "" if not lines else lines[-1] if "CompilationError" in type(error).__name__ else lines[0]
    return f"{type(error).__name__}: {said}"[:200]
