"""The parts in which the plugins differ that `headgate plugins new` writes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of plugin, as pieces of source.

    `plugin_name` in them stands for the name, `PLUGIN_NAME` for the same in capitals, `Made` for the class.

    `imports` stand beside those that all kinds have; `config` and `options` are the fields of the two models, `hooks`
    the body of the class after its models. `settings` and `stages` go into the configuration, `tests` into the tests
    after `test_imports`. `environment` are the variables that the configuration reads.
    """

    does: str
    imports: str
    config: str
    options: str
    hooks: str
    stages: tuple[str, ...]
    test_imports: str
    tests: str
    settings: str = "{}"
    environment: tuple[tuple[str, str], ...] = ()
