"""Plugins as the configuration names them, and the stages that they stand in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..plugin_error import place_of
from .plugin_schema import PluginSchema
from .scope import Scope, scope_of
from .section import Name, Section
from .wording import FieldError, Words, did_you_mean, shown

# For who has written one, and forgot to install it here or to name it there.
_FINDING = "`headgate plugins` lists all that entry points of the group `headgate.plugins` name in this environment"


class SettingsError(ValueError):
    """Settings that a plugin's own model refuses. `unknown` are keys that the model would silently ignore."""

    def __init__(self, model: type[BaseModel], error: ValidationError | None, unknown: tuple[str, ...]) -> None:
        super().__init__("wrong settings")
        self.model = model
        self.error = error
        self.unknown = unknown


class PluginConfig(Section):
    """One plugin with its settings, checked by the plugin's own model."""

    use: str = Field(description="Name of the installed plugin; without it the key is that name.")
    settings: BaseModel | None = Field(
        default=None, description="The plugin's own settings (None for a plugin without any)."
    )

    @model_validator(mode="before")
    @classmethod
    def _check(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping):
            raise ValueError(f"got {shown(data)}, wanted a mapping with the plugin's settings")
        installed = scope_of(info).installed
        use = data.get("use")
        if not isinstance(use, str) or use not in installed:
            name = use if isinstance(use, str) else ""
            near = did_you_mean(name, installed)
            hint = "" if near.endswith("?") else f"; {_FINDING}"
            raise FieldError(("use",), f"unknown plugin {shown(use)}{near}{hint}")
        schema = installed[use]
        if schema.refused:
            raise FieldError(("use",), schema.refused)
        rest = {key: value for key, value in data.items() if key != "use"}
        return {"use": use, "settings": _checked_settings(schema.config, rest, schema, info)}


class NoSettings(Section):
    """What a plugin without settings takes: nothing."""


def named_options(value: object) -> object:
    """Put each route option beside its plugin's name, so that its check knows whose it is."""
    return {name: (name, raw) for name, raw in value.items()} if isinstance(value, Mapping) else value


def _check_options(value: tuple[str, object], info: ValidationInfo) -> BaseModel | None:
    name, raw = value
    known = scope_of(info).plugins
    if known is None or not isinstance(name, str):
        raise ValueError("options are checked by the loader only")
    if name not in known:
        raise ValueError(f"unknown plugin{did_you_mean(name, known)}")
    schema = known[name]
    if schema is None:  # the entry under `plugins` is wrong, and said so there
        return None
    if schema.route_options is None:
        raise ValueError(f"the plugin `{schema.name}` takes no options of a route, wanted it under `plugins` only")
    if not isinstance(raw, Mapping):
        raise ValueError(f"got {shown(raw)}, wanted a mapping with the plugin's options")
    return _checked_settings(schema.route_options, raw, schema, info)


def _checked_settings(
    model: type[BaseModel] | None, raw: Mapping[str, object], schema: PluginSchema, info: ValidationInfo
) -> BaseModel | None:
    model = model or NoSettings
    unknown: tuple[str, ...] = ()
    if model.model_config.get("extra") in (None, "ignore"):
        known = {field.alias or name for name, field in model.model_fields.items()} | set(model.model_fields)
        unknown = tuple(key for key in raw if key not in known)
    try:
        settings = model.model_validate(dict(raw), context=info.context)
    except ValidationError as error:
        raise SettingsError(model, error, unknown) from None
    except Exception as error:  # the plugin's own code
        what = f"{type(error).__name__}{place_of(error)}"  # its text might show what is set
        raise ValueError(f"the plugin `{schema.name}` failed on its settings with {what}") from error
    if unknown:
        raise SettingsError(model, None, unknown)
    return None if model is NoSettings else settings


def _check_listed(name: str, info: ValidationInfo) -> str:
    scope: Scope = scope_of(info)
    stage = info.field_name or ""
    if scope.plugins is None:
        return name
    if name not in scope.plugins:
        if name in scope.installed:
            raise ValueError(
                f"the plugin `{name}` is installed but not configured, wanted `{name}: {{}}` under `plugins`"
            )
        raise ValueError(f"unknown plugin {shown(name)}{did_you_mean(name, scope.plugins)}")
    schema = scope.plugins[name]
    if schema is not None and stage not in schema.stages:
        stages = ", ".join(f"`{known}`" for known in sorted(schema.stages)) or "none"
        raise ValueError(f"the plugin `{schema.name}` has no stage `{stage}`, wanted it in one of its own: {stages}")
    return name


ListedPlugin = Annotated[Name, AfterValidator(_check_listed), Words("a plugin's name", "names under `plugins`")]
StageList = tuple[ListedPlugin, ...] | None
RouteOptionsValue = Annotated[Any, PlainValidator(_check_options), Words("a mapping", "mappings of options")]


class StageLists(Section):
    """Which plugins take part, by stage, in the order in which they are asked."""

    auth: StageList = Field(default=None, description="Plugins that say who asks.")
    route: StageList = Field(default=None, description="Plugins that choose the targets.")
    ratelimit: StageList = Field(default=None, description="Plugins that admit or refuse.")
    request: StageList = Field(default=None, description="Plugins that change the request.")
    cache: StageList = Field(default=None, description="Plugins that answer from memory.")
    aggregate: StageList = Field(default=None, description="Plugins that answer in place of dispatch.")
    response_head: StageList = Field(default=None, description="Plugins that change the head of the answer.")
    event: StageList = Field(default=None, description="Plugins that change server-sent events.")
    log: StageList = Field(default=None, description="Plugins that see how the exchange ended.")

    @field_validator("*")
    @classmethod
    def _check_distinct(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        seen: set[str] = set()
        for place, name in enumerate(names or ()):
            if name in seen:
                raise FieldError((place,), f"`{name}` is listed twice, wanted each plugin once in a stage")
            seen.add(name)
        return names
