"""Which answers an operator wants to be given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .entry import Key

_TAKEN = ("tenant", "route", "all")


def meant_by(arguments: Mapping[str, str]) -> Callable[[Key], bool]:
    """Return whether an answer under a key is meant; every argument has to fit. Raises: ValueError.

    `tenant`: of this one's requests. `route`: of this route. `all=true`: of everybody.
    """
    unknown = [name for name in arguments if name not in _TAKEN]
    if unknown or not arguments:
        raise ValueError(f"expected at least one of {', '.join(_TAKEN)}, got {', '.join(unknown) or 'none'}")
    if "all" in arguments and dict(arguments) != {"all": "true"}:
        raise ValueError("expected `all=true` alone: it leaves nothing to choose")
    tenant, route = arguments.get("tenant"), arguments.get("route")
    return lambda key: tenant in (None, key.tenant) and route in (None, key.route)
