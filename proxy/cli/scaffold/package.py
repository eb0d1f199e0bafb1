"""The files of a new plugin's package, put together from the pieces of its kind."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..usage_error import UsageError
from .kind import Kind

_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")  # Source: PEP 508
_MAX_CHARACTERS = 60
_PREFIX = "headgate_plugin_"
_IMPORTED = re.compile(r"^(?:from \S+ )?import (.+)$", re.MULTILINE)

_PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
description = "{does}: a plugin of headgate"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["headgate"]

[project.optional-dependencies]
test = ["headgate[testing]", "mypy", "pytest"]

[project.entry-points."headgate.plugins"]
{plugin} = "{module}:{cls}"

[tool.setuptools]
packages = ["{module}"]

[tool.setuptools.package-data]
{module} = ["py.typed"]

[tool.mypy]
strict = true
"""
_CONFIGURATION = """\
# {curl}
listeners:
  - address: 127.0.0.1:8080
clusters:
  origin: {{endpoints: ["http://127.0.0.1:9000"]}}
plugins:
  {plugin}: {settings}
stages:
{stages}
routes:
  - name: main
    match: {{path: "/{{*rest}}"}}
    targets: [origin]
"""
_README = """\
# {distribution}

{does}. A plugin of headgate.

```sh
pip install -e '.[test]'
pytest
{environment}headgate serve gateway.yaml
```

`gateway.yaml` puts it in front of a service on port 9000. The settings are the fields of `Config`, what a route may set
those of `RouteOptions`, in `{module}/__init__.py`. Types: `mypy {module} tests`.
"""
_CLASS = '''\
"""{does}."""

from __future__ import annotations

{imports}

class {cls}:
    """{does}."""

    class Config(BaseModel):
        """Settings under `plugins.{plugin}`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

{config}
    class RouteOptions(BaseModel):
        """Settings under a route's `plugins.{plugin}`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

{options}
{hooks}'''
_TESTS = '''\
"""{does}."""

from __future__ import annotations

{imports}
CONFIG = (Path(__file__).parents[1] / "gateway.yaml").read_text()


{tests}'''


@dataclass(frozen=True, slots=True)
class Names:
    """What a new plugin is called: its distribution, its module, its entry point, its class."""

    distribution: str
    module: str
    plugin: str
    cls: str


def names_of(name: str, kind: Kind, taken: Iterable[str]) -> Names:
    """Return the names that follow from `name`; `taken` are those of installed plugins. Raises: UsageError."""
    wanted = "wanted letters, digits, `-`, `_` and `.`, a letter first, a letter or digit last, at most 60"
    if not _DISTRIBUTION.fullmatch(name) or len(name) > _MAX_CHARACTERS:
        raise UsageError(f"NAME: got {name!r}, {wanted}")
    module = re.sub(r"[-_.]+", "_", name).lower()
    if not module.isidentifier():
        raise UsageError(f"NAME: got {name!r}, which makes no module's name, {wanted}")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in ("headgate", "tests"):
        raise UsageError(f"NAME: got {name!r}, but `{module}` is a word or module of Python's; choose another name")
    plugin = module.removeprefix(_PREFIX)  # configurations say it often
    plugin = plugin if plugin.isidentifier() else module
    if plugin in taken:
        raise UsageError(f"NAME: got {name!r}, but a plugin `{plugin}` is installed; choose another name")
    cls = "".join(part.capitalize() for part in plugin.split("_"))
    imported = ", ".join(_IMPORTED.findall(kind.imports + kind.test_imports)).split(", ")
    if cls in {*imported, "Laws", "Filling", "Key", "Config"}:
        raise UsageError(f"NAME: got {name!r}, but a class `{cls}` is used by the plugin itself; choose another name")
    return Names(name, module, plugin, cls)


def files_of(names: Names, kind: Kind) -> dict[str, str]:
    """Return the text of every file, by its path in the package's folder."""
    about = {"distribution": names.distribution, "module": names.module, "plugin": names.plugin}
    about |= {"cls": names.cls, "does": kind.does}
    stages = "\n".join(f"  {stage}: [{names.plugin}]" for stage in kind.stages)
    curl = "headgate serve gateway.yaml, then: curl http://127.0.0.1:8080/"
    environment = "".join(f"export {name}='{value}'\n" for name, value in kind.environment)
    texts = {
        "pyproject.toml": _PROJECT.format(**about),
        "README.md": _README.format(**about, environment=environment),
        "gateway.yaml": _CONFIGURATION.format(**about, settings=kind.settings, stages=stages, curl=curl),
        f"{names.module}/__init__.py": _CLASS.format(
            **about, imports=kind.imports, config=kind.config, options=kind.options, hooks=kind.hooks
        ),
        f"{names.module}/py.typed": "",
        f"tests/test_{names.module}.py": _TESTS.format(**about, imports=_test_imports(names, kind), tests=kind.tests),
    }
    return {path: _named(text, names) for path, text in texts.items()}


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the files into a new folder. Raises: UsageError where there is something already, OSError."""
    try:
        folder.mkdir()
    except FileExistsError:
        raise UsageError(f"{folder}: exists already, wanted a new folder; choose another NAME or --into") from None
    except FileNotFoundError:
        raise UsageError(f"{folder.parent}: no such folder, wanted one that exists for --into") from None
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


def _test_imports(names: Names, kind: Kind) -> str:
    """Return what the tests import: of the standard library, of others, of the plugin."""
    standard = "import asyncio\n" + ("import json\n" if "json." in kind.tests.replace(".json()", "") else "")
    standard += "from pathlib import Path\n"
    others = "import pytest\n" if "pytest." in kind.tests else ""
    others += kind.test_imports
    others += "from hypothesis import settings\n" if "settings(" in kind.tests else ""
    return "\n".join((standard, others, f"from {names.module} import {names.cls}\n"))


def _named(text: str, names: Names) -> str:
    text = text.replace("PLUGIN_NAME", names.plugin.upper()).replace("plugin_name", names.plugin)
    return re.sub(r"\bMade\b", names.cls, text)
