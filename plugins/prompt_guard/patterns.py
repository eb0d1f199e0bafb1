"""What is looked for in a text, in time that is linear in it, whatever the patterns are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import re2

MAX_MEMORY_BYTES = 64 << 20


class BadPatternError(ValueError):
    """Something that is no pattern of RE2. `place`: which one it is."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


class Patterns:
    """Any of several patterns. RE2 never tries again what it has read, so that no pattern and no text takes long."""

    def __init__(self, patterns: Iterable[str], *, fold_case: bool) -> None:
        """Raises: BadPatternError. Cost: linear in the patterns."""
        self._options = re2.Options()
        self._options.max_mem = MAX_MEMORY_BYTES
        self._options.log_errors = False
        self._options.case_sensitive = not fold_case
        self._options.never_capture = True
        self._single = [self._compiled(pattern, place) for place, pattern in enumerate(patterns)]
        whole = "|".join(f"(?:{single.pattern})" for single in self._single)
        self._any = self._compiled(whole, 0) if self._single else None

    def __bool__(self) -> bool:
        return self._any is not None

    def is_in(self, text: str) -> bool:
        """Whether any of them is found in `text`. Cost: linear in `text`."""
        return self._any is not None and self._any.search(text) is not None

    def which(self, text: str) -> int:
        """Return the place of the first that is found in a text in which one is. Cost: as `is_in`, for each pattern."""
        return next(place for place, single in enumerate(self._single) if single.search(text) is not None)

    def _compiled(self, pattern: str, place: int) -> Any:
        try:
            return re2.compile(pattern, self._options)
        except re2.error as error:
            told = error.args[0]
            text = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
            raise BadPatternError(place, text) from None


def literal(text: str) -> str:
    """Return the pattern of a text as it stands."""
    return str(re2.escape(text))
