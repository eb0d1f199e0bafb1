"""Fields that are set on or removed from a message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from .section import Section, empty_mapping, frozen_mapping
from .wording import FieldError, Words, shown

# The gateway frames and addresses messages itself: RFC 9110 §7.6.1, §7.2; RFC 9112 §6.
REFUSED = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
    }
)
CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")  # RFC 9110 §5.5
_NAME_WORDS = Words("a field name", "field names", "`x-team`")


def is_token(text: str) -> bool:
    """Whether a method or the name of a field may be called so; longer than 256 characters it may not."""
    return _TOKEN.fullmatch(text) is not None


def check_field_name(value: object) -> str:
    """Return the field name in lower case. Raises: ValueError."""
    if not isinstance(value, str) or not is_token(value):
        raise ValueError(f"got {shown(value)}, wanted {_NAME_WORDS}")
    return value.lower()


def _check_editable(name: str) -> str:
    if name in REFUSED:
        raise ValueError(
            f"`{name}` belongs to the gateway, wanted another field: it addresses and frames messages itself"
        )
    if name.startswith("x-headgate-"):
        raise ValueError(f"`{name}` belongs to the gateway, wanted a field that does not begin with `x-headgate-`")
    return name


def check_field_value(value: object) -> str:
    """Return the value of a field. Raises: ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"got {shown(value)}, wanted text: put it into quotes")
    if len(value) > 8192 or not _VALUE.fullmatch(value):
        raise ValueError("wanted a field value of one line, Latin-1, without spaces around it, at most 8192 characters")
    return value


def _refuse_credential(name: str) -> str:
    if name in CREDENTIALS:
        raise ValueError(
            f"`{name}` carries a credential, wanted it by reference: `credential: env:NAME` of the cluster"
        )
    return name


def refuse_same_names(value: object) -> object:
    """Refuse names that differ in case only: they are one field."""
    seen: dict[str, str] = {}
    for name in value if isinstance(value, Mapping) else ():
        if isinstance(name, str) and seen.setdefault(name.lower(), name) != name:
            raise FieldError((name,), f"`{name[:60]}` is the same field as `{seen[name.lower()][:60]}`, wanted it once")
    return value


FieldName = Annotated[str, BeforeValidator(check_field_name), _NAME_WORDS]
FieldValue = Annotated[str, BeforeValidator(check_field_value), Words("text of one line", "texts of one line")]
EditedName = Annotated[FieldName, AfterValidator(_check_editable), _NAME_WORDS]
RequestName = Annotated[EditedName, AfterValidator(_refuse_credential), _NAME_WORDS]


class HeaderEdits(Section):
    """Fields to remove and to set; a field that is set replaces all of its name."""

    set: Annotated[
        Mapping[EditedName, FieldValue], BeforeValidator(refuse_same_names), AfterValidator(frozen_mapping)
    ] = Field(
        default_factory=empty_mapping, description="Fields to set, by name; one that is there already is replaced."
    )
    remove: tuple[EditedName, ...] = Field(default=(), description="Names of fields to remove.")


class RequestHeaderEdits(Section):
    """Fields to remove and to set; a field that is set replaces all of its name. A literal credential is refused."""

    set: Annotated[
        Mapping[RequestName, FieldValue], BeforeValidator(refuse_same_names), AfterValidator(frozen_mapping)
    ] = Field(
        default_factory=empty_mapping, description="Fields to set, by name; one that is there already is replaced."
    )
    remove: tuple[EditedName, ...] = Field(default=(), description="Names of fields to remove.")
