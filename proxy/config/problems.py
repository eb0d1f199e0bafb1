"""What is wrong with a configuration, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_PROBLEMS = 1000
MAX_EXAMINED = 10_000


@dataclass(frozen=True, slots=True, order=True)
class ConfigProblem:
    """One thing that is wrong. `line` and `column` count from 1; an empty `path` means the whole file."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{self.file}:{self.line}:{self.column}: {what}"


class ConfigErrors(Exception):
    """Everything that is wrong with a configuration, in the order of the file, each thing once.

    `num_left_out` problems beyond the first `MAX_PROBLEMS` are not kept.
    """

    def __init__(self, problems: Iterable[ConfigProblem], num_unexamined: int = 0) -> None:
        found = sorted(set(problems))
        self.problems = tuple(found[:MAX_PROBLEMS])
        self.num_left_out = len(found) - len(self.problems) + num_unexamined
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        if self.num_left_out:
            lines.append(f"and {self.num_left_out} more")
        return "\n".join(lines)
