"""Calls of operators that a plugin answers itself: `POST /plugins/NAME/ACTION?…` at the admin address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

Operate = Callable[[str, Mapping[str, str]], Mapping[str, object]]

MAX_ARGUMENTS = 16


def operation_of(instances: Mapping[str, Any], path: str) -> tuple[Operate, str] | None:
    """Return who answers a call, and the action it names; None for a path that no plugin answers.

    A plugin that takes such calls has a method `operate(action, arguments)`: it returns what is shown as JSON, and
    raises ValueError, to be shown, for what it does not take. It must not block.
    """
    before, _, called = path.partition("/plugins/")
    name, _, action = called.partition("/")
    operate: Operate | None = getattr(instances.get(name), "operate", None)
    return None if before or operate is None or not action else (operate, action)


def arguments_of(query: str) -> dict[str, str]:
    """Read the arguments of a call. Raises: ValueError for one that is given twice, has no value, or for too many."""
    if not query:
        return {}
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_ARGUMENTS)
    arguments = dict(pairs)
    if len(arguments) < len(pairs):
        raise ValueError(f"expected each argument once, got {', '.join(name for name, _ in pairs)}")
    return arguments
