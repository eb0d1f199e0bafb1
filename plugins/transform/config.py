"""What a route may set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from ...ext.route_table import normalize_path
from ...proxy.config.header_edits import EditedName, RequestName, check_field_value, refuse_same_names
from ...proxy.config.section import Section, empty_mapping, frozen_mapping
from ...proxy.config.wording import FieldError, Words, shown
from ...proxy.forwarded import is_ours
from ...proxy.http1.fields import HOP_BY_HOP
from .pattern import compile_pattern
from .template import NAMES, Template, parse

_TEXT = re.compile(r"[ -~\x80-\xff]{0,8192}")


def _check_sent(name: str) -> str:
    if is_ours(name.encode("latin-1")):
        raise ValueError(f"`{name}` is written, or left out, by the gateway itself, wanted another field")
    return name


def _check_answered(name: str) -> str:
    if name in ("date", "x-request-id") or name.encode("latin-1") in HOP_BY_HOP:
        raise ValueError(f"`{name}` is written, or left out, by the gateway itself, wanted another field")
    return name


def _parse_value(value: object) -> Template:
    return value if isinstance(value, Template) else parse(check_field_value(value))


def _parse_text(value: object) -> Template:
    if isinstance(value, Template):
        return value
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted text of one line")
    return parse(value)


_TEMPLATE_WORDS = Words("text of one line", "texts of one line")
SentName = Annotated[EditedName, AfterValidator(_check_sent)]
SetName = Annotated[RequestName, AfterValidator(_check_sent)]
AnsweredName = Annotated[EditedName, AfterValidator(_check_answered)]
FieldText = Annotated[Template, BeforeValidator(_parse_value), _TEMPLATE_WORDS]
QueryText = Annotated[Template, BeforeValidator(_parse_text), _TEMPLATE_WORDS]
QueryName = Annotated[str, Field(min_length=1, max_length=200)]

_ONCE, _FROZEN = BeforeValidator(refuse_same_names), AfterValidator(frozen_mapping)


class RequestFields(Section):
    """Changes to the fields of requests, in this order."""

    remove: tuple[SentName, ...] = Field(default=(), description="Names of fields to remove.")
    rename: Annotated[Mapping[SentName, SentName], _ONCE, _FROZEN] = Field(
        default_factory=empty_mapping, description="Fields to call otherwise, by name; what is called so is replaced."
    )
    set: Annotated[Mapping[SetName, FieldText], _ONCE, _FROZEN] = Field(
        default_factory=empty_mapping, description="Fields to set, by name; those that are there are replaced."
    )
    append: Annotated[Mapping[SetName, FieldText], _ONCE, _FROZEN] = Field(
        default_factory=empty_mapping, description="Fields to add to those that are there, by name."
    )


class ResponseFields(Section):
    """Changes to the fields of answers, in this order."""

    remove: tuple[AnsweredName, ...] = Field(default=(), description="Names of fields to remove.")
    rename: Annotated[Mapping[AnsweredName, AnsweredName], _ONCE, _FROZEN] = Field(
        default_factory=empty_mapping, description="Fields to call otherwise, by name; what is called so is replaced."
    )
    set: Annotated[Mapping[AnsweredName, FieldText], _ONCE, _FROZEN] = Field(
        default_factory=empty_mapping, description="Fields to set, by name; those that are there are replaced."
    )
    append: Annotated[Mapping[AnsweredName, FieldText], _ONCE, _FROZEN] = Field(
        default_factory=empty_mapping, description="Fields to add to those that are there, by name."
    )


def _check_prefix(value: str) -> str:
    if value.endswith("/") or normalize_path(value) != value:
        raise ValueError(f"got {shown(value)}, wanted the beginning of a path such as `/api`, without `/` at its end")
    return value


Prefix = Annotated[
    str, AfterValidator(_check_prefix), Words("the beginning of a path", "beginnings of paths", "`/api`")
]


class PathRegex(Section):
    """A regular expression that a whole path is to match, and what then stands in its place."""

    match: str = Field(description="The pattern; it has to be one that is surely matched in linear time.")
    to: Annotated[str, Field(max_length=2048, pattern="^/[!-~]*$")] = Field(
        description="The path instead; `{1}` is the first group, and the other placeholders may stand there, too."
    )
    _compiled: re.Pattern[str] = PrivateAttr()
    _template: Template = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> PathRegex:
        try:
            self._compiled = compile_pattern(self.match)
        except ValueError as error:
            raise FieldError(("match",), str(error)) from None
        groups = [str(number) for number in range(1, self._compiled.groups + 1)]
        try:
            self._template = parse(self.to, (*groups, *NAMES))
        except ValueError as error:
            raise FieldError(("to",), str(error)) from None
        return self

    @property
    def compiled(self) -> re.Pattern[str]:
        """The pattern."""
        return self._compiled

    @property
    def template(self) -> Template:
        """What stands in the path's place."""
        return self._template


class PathEdits(Section):
    """Changes to the path, in this order."""

    strip_prefix: Prefix | None = Field(default=None, description="Segments at the beginning to take away.")
    regex: PathRegex | None = Field(default=None, description="A pattern, and what replaces a path that it matches.")
    prefix: Prefix | None = Field(default=None, description="Segments to put at the beginning.")


class QueryEdits(Section):
    """Changes to the query, in this order; all else stays as it came."""

    remove: tuple[QueryName, ...] = Field(default=(), description="Names of parameters to remove, decoded.")
    set: Annotated[Mapping[QueryName, QueryText], _FROZEN] = Field(
        default_factory=empty_mapping, description="Parameters to set, by name; those that are there are replaced."
    )


class TransformOptions(Section):
    """What a route sets."""

    path: PathEdits | None = Field(default=None, description="Changes to the path.")
    query: QueryEdits | None = Field(default=None, description="Changes to the query.")
    request: RequestFields | None = Field(default=None, description="Changes to the fields of requests.")
    response: ResponseFields | None = Field(default=None, description="Changes to the fields of answers.")
