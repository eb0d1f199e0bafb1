"""The reference page of the configuration, written from the models.

`python -m headgate.proxy.config.reference > docs/configuration.md`
"""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .schema import Config
from .schema_plugins import PluginConfig
from .schema_route import RouteConfig
from .section import Section
from .units import Duration, Timeout, duration_text, size_text
from .wording import Words, bounds, unwrap, wanted_field

INTRODUCTION = """\
# Configuration

<!-- Written by `python -m headgate.proxy.config.reference`; a test compares it with the models. -->

headgate reads one YAML file. `headgate check FILE` says everything that is wrong with it at once, each thing as
`file:line:column: path: what it is, and what was wanted`, and exits with 2; nothing runs with a file that has an error.
Warnings are about what is allowed but hardly meant.

```yaml
listeners:
  - address: 127.0.0.1:8080
clusters:
  service: {endpoints: ["http://127.0.0.1:9000"]}
routes:
  - match: {path: "/{*rest}"}
    targets: [service]
```

- **Units.** A duration is a number with `ms`, `s`, `m` or `h`; a bare `0` needs none. A size is a number of bytes, or
  one with `KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`. A rate is a number `/s`, `/m` or `/h`.
- **Secrets** are only ever referred to: `env:NAME` is a variable of the environment, `file:PATH` a file with one line.
  They are read when the configuration is loaded, and shown as `***` everywhere.
- **Paths** of files that are not absolute start at the directory of the configuration file.
- **YAML** is read by the core schema of version 1.2: `true` and `false` are the only truth values, `on`, `off`, `yes`
  and `no` are text. Anchors, aliases and `<<` work. A key stands once, and has a value. One document, UTF-8, at most
  4 MiB, 32 levels, 200,000 values after aliases are unfolded.
- **Targets** are tried in order. `cluster` and `cluster/model` are short for a mapping; a list inside the list is a
  group, whose members are tried in an order drawn by `weight`.
- **Causes** of a retry or fallback: `connect` (no connection), `reset` (the connection broke before the commit point),
  `silent` (no head in time), `first_event` (no first event in time), `status` (one that is listed), `busy` (429, 503),
  `error_event` (the first event reports an error), `malformed` (not HTTP).
"""


def reference() -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION]
    for path, model, known_at in _sections():
        title = f"## `{path}`" if path else "## The whole file"
        if known_at is not None:
            parts.append(f"{title}\n\nAs [`{known_at}`](#{_anchor(known_at)}).\n")
        else:
            parts.append(f"{title}\n\n{_first_line(model)}\n\n{_table(model)}\n")
    return "\n".join(parts)


def main() -> None:
    """Print the page."""
    sys.stdout.write(reference())


def _sections() -> Iterator[tuple[str, type[BaseModel], str | None]]:
    """Yield every section with its path in the order of the file, and where it was described before, if it was."""
    described: dict[type[BaseModel], str] = {}
    pending: list[tuple[str, type[BaseModel]]] = [("", Config)]
    while pending:
        path, model = pending.pop(0)
        yield path, model, described.get(model)
        if model in described:
            continue
        described[model] = path
        inner = [(name, _section_in(field.annotation)) for name, field in model.model_fields.items()]
        found = [(f"{path}.{name}{step}".removeprefix("."), part) for name, (part, step) in inner if part is not None]
        pending = found + pending


def _section_in(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the section that a field holds, if any, and how its path goes on: `[]` in a list, `.NAME` in a mapping."""
    annotation, _ = unwrap(annotation, ())
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ""
    if origin is tuple:
        part, step = _section_in(args[0])
        return part, step if step.startswith("[]") else f"[]{step}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        part, step = _section_in(args[1])
        return part, f".NAME{step}"
    return None, ""


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        key, value, default = _FILLED_IN.get((model, name), (f"`{name}`", _value(field), _default(field)))
        cells = (key, value, default, field.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


# Keys that the loader fills in, and the one that stands for many.
_FILLED_IN = {
    (RouteConfig, "name"): ("`name`", "a name", "`route-N`"),
    (PluginConfig, "use"): ("`use`", "a name", "the key"),
    (PluginConfig, "settings"): ("any other", "what the plugin wants", "what the plugin says"),
}


def _value(field: FieldInfo) -> str:
    words = next((item for item in field.metadata if isinstance(item, Words)), None)
    if words is not None:
        return words.one + bounds(field.metadata)
    text = wanted_field(field)
    return "a mapping, see below" if text.startswith("a mapping with") else text


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "none"
    if isinstance(value, Section):
        return ""
    return "`{}`" if value == {} else f"`{_text(value, field)}`"


def _text(value: object, field: FieldInfo) -> str:
    words = field.metadata
    if isinstance(value, float) and any(word in words for word in (*_words(Duration), *_words(Timeout))):
        return duration_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return size_text(value) if "size" in wanted_field(field) else str(value)
    if isinstance(value, tuple):
        is_time = "durations" in wanted_field(field)
        return "[" + ", ".join(duration_text(item) if is_time else str(item) for item in value) + "]"
    is_quoted = isinstance(value, bool) or (isinstance(value, str) and value != value.strip())
    return json.dumps(value) if is_quoted else str(value)


def _words(alias: Any) -> tuple[Any, ...]:
    return typing.get_args(alias)[1:]


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _anchor(path: str) -> str:
    return "".join(character for character in path.lower() if character.isalnum() or character in "_-")


if __name__ == "__main__":
    main()
