"""What a configuration pins plugins to, held before any of them is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, ValidationError

from .complaints import complain, problem_at
from .document import Document
from .plugin_schema import Installed, Pin, PluginSchema
from .problems import ConfigErrors, ConfigProblem
from .schema_guards import GuardConfig, Guards
from .section import Section, empty_mapping
from .wording import did_you_mean, shown


class _Guarded(Section):
    """The part of a configuration that is read first."""

    guards: Guards = Field(default_factory=empty_mapping, description="What a plugin is allowed.")


def check_pins(document: Document, plugins: Mapping[str, PluginSchema]) -> None:
    """Refuse a file whose plugins are not as it pins them, or whose guards cannot be read.

    What else may be wrong with it is not told then: to find that out would run what is refused. Schemas that are no
    `Installed` ones have no code to be run.
    Raises: ConfigErrors.
    """
    data = document.root.data
    if not isinstance(data, dict) or not isinstance(plugins, Installed):
        return
    try:
        checked = _Guarded.model_validate({"guards": data.get("guards") or {}})
    except ValidationError as error:
        raise ConfigErrors([*document.problems, *complain(document, _Guarded, error)]) from None
    named = data.get("plugins")
    pinned = {name: guard for name, guard in checked.guards.items() if guard.version or guard.sha256}
    problems = list(_broken(document, pinned, named if isinstance(named, dict) else {}, plugins))
    if problems or ("guards" in data and document.problems):  # a key that stands twice may hold another pin
        raise ConfigErrors([*document.problems, *problems])


def _broken(
    document: Document, pinned: Mapping[str, GuardConfig], named: Mapping[str, Any], plugins: Installed
) -> Iterator[ConfigProblem]:
    for name in pinned:
        if name not in named:
            yield problem_at(document, ("guards", name), f"unknown plugin {shown(name)}{did_you_mean(name, named)}")
    pins = {
        name: Pin(used_by(name, named[name]), guard.version, guard.sha256)
        for name, guard in pinned.items()
        if name in named
    }
    for name, key, message in plugins.unmet(pins):
        yield problem_at(document, ("guards", name, key), message)


def used_by(name: str, entry: object) -> str:
    """Return the installed plugin that an entry under `plugins` uses: what it says, else its name."""
    use = entry.get("use", name) if isinstance(entry, Mapping) else name
    return use if isinstance(use, str) else ""
