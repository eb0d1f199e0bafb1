"""Routes: what they match, where they lead, how hard they try."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ...ext.route_table import HeaderMatch, RouteSpec, RouteTable, RouteTableError
from ..verdicts import PrefillStyle, Target
from .header_edits import FieldName, FieldValue, HeaderEdits, RequestHeaderEdits, refuse_same_names
from .schema_delivery import FallbackRule, HedgeRule, HoldBack, HoldBackValue, RetryRule
from .schema_plugins import RouteOptionsValue, StageLists, named_options
from .section import ClusterName, Flag, ModelName, Name, Section, Whole, empty_mapping, frozen_mapping
from .units import ByteSize, Duration, Timeout
from .wording import FieldError, Words, shown

# A body whose model is read is held whole and read on the loop: its size bounds both memory and the pause.
_INFERENCE_DEFAULTS = {
    "commit": "first_event",
    "replay": "safe",
    "on_break": "resume",
    "read_model": True,
    "body_limit": 4 << 20,
}


class TargetConfig(Section):
    """One place that can answer."""

    cluster: ClusterName = Field(description="Name of the cluster.")
    model: ModelName | None = Field(
        default=None, description="Model to ask it for, written into the request; without it what the client asked for."
    )
    weight: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=1, description="Share of the requests inside its group."
    )

    context: Annotated[Whole, Field(ge=1, le=1 << 40)] | None = Field(
        default=None,
        description="Longest prompt that it takes, in tokens: where it finds one too long, the next target that "
        "declares more is asked.",
    )

    prefill: PrefillStyle | None = Field(
        default=None,
        description="How it is asked to go on with a chat answer that broke off (`on_break: resume`), the text so far "
        "being the assistant's last message: with `continue_final_message` (vLLM, SGLang), with `prefix: true` in the "
        "message (`prefix`: DeepSeek; `echoed_prefix`, where the answer repeats the text first: Mistral), or `plain`, "
        "with nothing more; absent: never.",
    )

    def to_target(self) -> Target:
        """Return the target as stages see it."""
        return Target(self.cluster, self.model, self.weight, self.context, self.prefill)


def _spell_out_group(value: object) -> object:
    return [_spell_out_target(item) for item in (value if isinstance(value, list | tuple) else [value])]


def _spell_out_target(value: object) -> object:
    if isinstance(value, TargetConfig | Mapping):
        return value
    if not isinstance(value, str):
        raise ValueError(f"got {shown(value)}, wanted `cluster`, `cluster/model` or a mapping with `cluster`")
    cluster, slash, model = value.partition("/")
    return {"cluster": cluster, "model": model} if slash else {"cluster": cluster}


TargetGroup = Annotated[
    tuple[TargetConfig, ...],
    BeforeValidator(_spell_out_group),
    Field(min_length=1),
    Words("a target or a list of them", "targets (`cluster`, `cluster/model`, a mapping, or a list of them by weight)"),
]


def to_groups(groups: tuple[tuple[TargetConfig, ...], ...]) -> tuple[tuple[Target, ...], ...]:
    """Return groups of targets as stages see them."""
    return tuple(tuple(target.to_target() for target in group) for group in groups)


class HeaderRule(Section):
    """A condition on one field: exactly one of these."""

    exact: FieldValue | None = Field(default=None, description="The value, whole; text alone means this.")
    prefix: Annotated[FieldValue, Field(min_length=1)] | None = Field(default=None, description="How the value begins.")
    present: Flag | None = Field(default=None, description="Whether the field is there.")

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"exact": data}
        if not isinstance(data, Mapping):
            raise ValueError(f"got {shown(data)}, wanted text in quotes, `{{present: true}}` or `{{prefix: text}}`")
        return data

    @model_validator(mode="after")
    def _check_one(self) -> HeaderRule:
        if len([rule for rule in (self.exact, self.prefix, self.present) if rule is not None]) != 1:
            raise ValueError("wanted exactly one of `exact`, `prefix`, `present`")
        return self

    def to_match(self, name: str) -> HeaderMatch:
        """Return the condition as the route table takes it."""
        if self.exact is not None:
            return HeaderMatch(name, "exact", self.exact)
        if self.prefix is not None:
            return HeaderMatch(name, "prefix", self.prefix)
        return HeaderMatch(name, "present" if self.present else "absent")


_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]{1,32}")


def _check_method(value: object) -> str:
    if not isinstance(value, str) or not _METHOD.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted a method in upper case such as `GET`")
    return value


Method = Annotated[str, BeforeValidator(_check_method), Words("a method", "methods", "`GET`")]


class RouteMatch(Section):
    """Which requests a route takes. All conditions must hold."""

    path: str = Field(description="Pattern of the path: `/v1/models`, `/files/{id}`, `/static/{*rest}`.")
    hosts: tuple[str, ...] = Field(
        default=(), description="Hosts, without a port, or `*.example.com` for any name below; empty: any."
    )
    methods: tuple[Method, ...] = Field(default=(), description="Methods, in upper case; empty: any.")
    headers: Annotated[
        Mapping[FieldName, HeaderRule], BeforeValidator(refuse_same_names), AfterValidator(frozen_mapping)
    ] = Field(
        default_factory=empty_mapping,
        description="Conditions on fields, by name: text, `{present: true}` or `{prefix: text}`.",
    )
    priority: Annotated[Whole, Field(ge=-1_000_000, le=1_000_000)] = Field(
        default=0, description="Among routes of equal host and path the highest is asked first."
    )

    @model_validator(mode="after")
    def _check_pattern(self) -> RouteMatch:
        try:
            RouteTable([self.to_spec("")])
        except RouteTableError as error:
            character = "" if error.column is None else f" (at character {error.column})"
            raise FieldError(self._place_of(error.field), error.problem + character) from None
        return self

    def to_spec(self, name: str) -> RouteSpec:
        """Return the match as the route table takes it."""
        headers = tuple(rule.to_match(field) for field, rule in self.headers.items())
        return RouteSpec(name, self.path, self.hosts, frozenset(self.methods), headers, self.priority)

    def _place_of(self, field: str) -> tuple[str | int, ...]:
        name, _, rest = field.partition("[")
        index = int(rest.partition("]")[0]) if rest else 0
        if name == "headers":
            return (name, list(self.headers)[index])
        return (name, index) if rest else (name,)


class RouteConfig(Section):
    """One route."""

    name: Name = Field(description="Name in logs and metrics; without it `route-N`, N its place in the list, from 1.")
    match: RouteMatch = Field(description="Which requests it takes.")
    kind: Literal["http", "inference"] = Field(
        default="http",
        description="What is served; `inference` has own defaults of `commit`, `replay`, `on_break`, `read_model`, "
        "`body_limit`.",
    )
    targets: tuple[TargetGroup, ...] = Field(
        default=(), description="Where requests go, in order; a list in the list is a group, picked from by weight."
    )
    read_model: Flag = Field(
        default=False, description="Whether `model` is read from the body; `kind: inference` sets true."
    )
    commit: Literal["head", "first_event"] = Field(
        default="head",
        description="What must be there before the client is answered; `kind: inference` sets `first_event`.",
    )
    replay: Literal["never", "idempotent", "safe"] = Field(
        default="idempotent",
        description="Which requests may be sent again after bytes of them went out: none, those of idempotent methods, "
        "all; `kind: inference` sets `safe`.",
    )
    replay_buffer: ByteSize = Field(
        default=1 << 20, description="Largest body that can be sent again; a larger one has one attempt."
    )
    body_limit: ByteSize = Field(
        default=64 << 20, description="Largest request body; `0`: no limit; `kind: inference` sets `4MiB`."
    )
    deadline: Timeout = Field(
        default=600.0,
        description="Time for the whole exchange. Where it is written, the `connect`, `head` and `first_event` that "
        "the route's clusters write must not add up to more, even where they equal the defaults; what is not written "
        "is cut to fit.",
    )
    busy_wait: Duration = Field(
        default=3.0, description="Longest Retry-After of a busy target that is waited out, once; `0`: none is."
    )
    retry: RetryRule = Field(default=RetryRule(), description="When the same target is tried again.")
    fallback: FallbackRule = Field(default=FallbackRule(), description="When the next target is tried.")
    max_attempts: Annotated[Whole, Field(ge=1, le=100)] = Field(default=6, description="Attempts over all targets.")
    stages: StageLists = Field(
        default=StageLists(), description="Plugins by stage; a stage that is not listed has the default."
    )
    plugins: Annotated[
        Mapping[str, RouteOptionsValue], BeforeValidator(named_options), AfterValidator(frozen_mapping)
    ] = Field(
        default_factory=empty_mapping,
        description="Options of plugins for this route, by the plugin's name under `plugins`.",
    )
    hedge: HedgeRule | None = Field(
        default=None, description="When a slow target is asked a second time beside the first; absent: never."
    )
    hold_back: HoldBackValue = Field(
        default=HoldBack(),
        description="How much of an answer is held back after it began, so that another target can still replace it: "
        "`none`, a number of tokens such as `20 tokens`, a time such as `500ms`, or `complete`.",
    )
    hold_back_limit: Annotated[ByteSize, Field(ge=1)] = Field(
        default=1 << 20, description="Most bytes that are held back; an answer that reaches it is given to the client."
    )
    on_break: Literal["resume", "error"] = Field(
        default="error",
        description="What follows when a committed answer breaks off: it is continued where that is possible (exactly, "
        "or as a target's `prefill` says), or told; `kind: inference` sets `resume`.",
    )
    malformed: Literal["break", "skip"] = Field(
        default="break", description="What a malformed event of an inference stream is: a break, or left out."
    )
    websocket: Flag = Field(default=True, description="Whether WebSocket upgrades are passed on.")
    request_headers: RequestHeaderEdits = Field(
        default=RequestHeaderEdits(), description="Fields to set on and remove from requests."
    )
    response_headers: HeaderEdits = Field(
        default=HeaderEdits(), description="Fields to set on and remove from answers."
    )

    @model_validator(mode="before")
    @classmethod
    def _set_defaults_of_kind(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("kind") == "inference":
            return {**_INFERENCE_DEFAULTS, **data}
        return data

    def to_spec(self) -> RouteSpec:
        """Return the match as the route table takes it."""
        return self.match.to_spec(self.name)

    def to_groups(self) -> tuple[tuple[Target, ...], ...]:
        """Return the targets as stages see them."""
        return to_groups(self.targets)


class Model(Section):
    """A model that clients may name, and who can answer for it."""

    targets: tuple[TargetGroup, ...] = Field(
        min_length=1,
        description="Where its requests go, in order; a list in the list is a group, picked from by weight.",
    )
    aliases: tuple[ModelName, ...] = Field(default=(), description="Other names that clients may use.")
    owned_by: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="headgate", description="Owner shown in the list of models."
    )

    def to_groups(self) -> tuple[tuple[Target, ...], ...]:
        """Return the targets as stages see them."""
        return to_groups(self.targets)
