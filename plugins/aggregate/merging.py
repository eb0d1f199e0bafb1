"""One answer out of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .content import Json


def merged(values: Sequence[Json]) -> Json:
    """Return JSON objects as one, or completions as one that has the choices of all.

    Objects are merged member by member, into any depth; where two say something else the first one counts. Of
    completions everything but `choices` and `usage` is the first one's; choices are numbered anew, usage is added up.
    Cost: linear in the values.
    """
    if all(_is_completion(value) for value in values):
        return _completion(values)
    whole: Json = {}
    for value in values:
        _fill(whole, value)
    return whole


def _is_completion(value: Json) -> bool:
    choices = value.get("choices")
    return isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices)


def _completion(values: Sequence[Json]) -> Json:
    choices = [choice for value in values for choice in value["choices"]]
    whole = dict(values[0])
    whole["choices"] = [{**choice, "index": index} for index, choice in enumerate(choices)]
    usages = [value["usage"] for value in values if isinstance(value.get("usage"), dict)]
    if usages:
        whole["usage"] = _sum(usages)
    return whole


def _sum(usages: Sequence[Json], depth: int = 2) -> Json:
    """Add numbers member by member, those of details too; anything else is the first one's."""
    whole: Json = {}
    for usage in usages:
        for name, value in usage.items():
            before = whole.get(name)
            if isinstance(value, dict) and isinstance(before, dict) and depth > 1:
                whole[name] = _sum([before, value], depth - 1)
            elif _is_number(value) and _is_number(before):
                whole[name] = before + value
            elif before is None:
                whole[name] = value
    return whole


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fill(whole: Json, more: Json) -> None:
    """Add to `whole` what only `more` has."""
    waiting = [(whole, more)]
    while waiting:  # not by calls: a value may be as deep as a parser takes it
        into, value = waiting.pop()
        for name, member in value.items():
            if name not in into:
                into[name] = dict(member) if isinstance(member, dict) else member
            elif isinstance(into[name], dict) and isinstance(member, dict):
                into[name] = dict(into[name])
                waiting.append((into[name], member))
