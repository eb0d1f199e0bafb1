"""Guards that cannot hold: of plugins that are not there, in a stage that leaves no choice. Pins come before."""

from __future__ import annotations

from collections.abc import Iterator

from .schema import Config
from .schema_guards import GuardConfig
from .scope import Scope
from .wording import Path, did_you_mean, shown

# Where a failure may mean the other thing. Who asks is never left open; an answer under way is not ended for a plugin.
CLOSABLE = frozenset({"route", "request", "cache", "aggregate"})
OPENABLE = frozenset({"ratelimit"})


def find_guard_conflicts(config: Config, scope: Scope) -> Iterator[tuple[Path, str]]:
    """Yield what cannot be meant."""
    for name, guard in config.guards.items():
        schema = (scope.plugins or {}).get(name)
        if name not in config.plugins or schema is None:
            message = f"unknown plugin {shown(name)}{did_you_mean(name, config.plugins)}"
            yield ("guards", name), message
            continue
        yield from _choices(name, guard, schema.stages)


def _choices(name: str, guard: GuardConfig, stages: frozenset[str]) -> Iterator[tuple[Path, str]]:
    if guard.on_failure is None:
        return
    allowed = CLOSABLE if guard.on_failure == "closed" else OPENABLE
    if not stages & allowed:
        wanted = " or ".join(f"`{stage}`" for stage in sorted(allowed))
        has = ", ".join(f"`{stage}`" for stage in sorted(stages)) or "none"
        message = f"`{guard.on_failure}` is for plugins of the stage {wanted}, and `{name}` has {has}"
        yield ("guards", name, "on_failure"), message
