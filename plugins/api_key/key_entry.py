"""One key, as a keys file or the configuration writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ...proxy.config.section import Flag, Section, Whole
from ...proxy.config.wording import FieldError, Words, shown
from ...proxy.exchange.priority import PRIORITIES

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_VISIBLE = re.compile(r"[!-~]{1,128}")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,128}")  # RFC 6749 §3.3

_DIGEST_WORDS = Words("the 64 hexadecimal digits that `headgate keys hash` prints", "digests")
_INSTANT_WORDS = Words("an instant with its offset from UTC", "instants", "`2026-01-31T00:00:00Z`")
_ID_WORDS = Words("an id of 1 to 128 visible ASCII characters", "ids")
_SCOPE_WORDS = Words("a scope of visible ASCII characters without quotes and backslashes", "scopes")
_PATTERN_WORDS = Words("a name, where a trailing `*` stands for any ending", "names", "`lite` or `team-*`")


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        # What stands here by mistake may be the key itself.
        raise ValueError(f"got something else, which is not shown, wanted {_DIGEST_WORDS}")
    return value.lower()


def _instant(value: object) -> datetime:
    try:
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError(f"got {shown(value)}, wanted {_INSTANT_WORDS}")
    return instant


def _visible(value: object) -> str:
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted {_ID_WORDS}")
    return value


def _scope(value: object) -> str:
    if not isinstance(value, str) or not _SCOPE.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted {_SCOPE_WORDS}")
    return value


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value) or "*" in value[:-1]:
        raise ValueError(f"got {shown(value)}, wanted {_PATTERN_WORDS}")
    return value


Digest = Annotated[str, BeforeValidator(_digest), _DIGEST_WORDS]
Instant = Annotated[datetime, BeforeValidator(_instant), _INSTANT_WORDS]
KeyId = Annotated[str, BeforeValidator(_visible), _ID_WORDS]
Scope = Annotated[str, BeforeValidator(_scope), _SCOPE_WORDS]
Pattern = Annotated[str, BeforeValidator(_pattern), _PATTERN_WORDS]


class KeyDigest(Section):
    """One credential of a key, and when it is valid: from `not_before` on, up to but not at `not_after`."""

    digest: Digest = Field(description="HMAC-SHA256 of the key under the pepper, as `headgate keys hash` prints it.")
    not_before: Instant | None = Field(default=None, description="Instant from which it is valid.")
    not_after: Instant | None = Field(default=None, description="Instant at which it ends.")

    @model_validator(mode="after")
    def _check_order(self) -> KeyDigest:
        if self.not_before is not None and self.not_after is not None and self.not_before >= self.not_after:
            raise FieldError(("not_after",), f"got {self.not_after.isoformat()}, wanted an instant after `not_before`")
        return self


class KeyEntry(Section):
    """Who holds a key, and what it opens."""

    id: KeyId = Field(description="Name of the key in logs; not secret.")
    tenant: KeyId = Field(description="Whom it belongs to: caches and quotas are the tenant's.")
    digests: tuple[KeyDigest, ...] = Field(
        min_length=1, description="Its credentials; several while keys are exchanged."
    )
    scopes: tuple[Scope, ...] = Field(default=(), description="What it may do, as routes ask for it.")
    models: tuple[Pattern, ...] | None = Field(default=None, description="Models it may use; without it all.")
    routes: tuple[Pattern, ...] | None = Field(default=None, description="Routes it may use; without it all.")
    max_parallel: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Requests at once; without it any number."
    )
    max_priority: Literal[PRIORITIES] = Field(  # type: ignore[valid-type]
        default="default", description="Highest priority a client may ask for."
    )
    disabled: Flag = Field(default=False, description="Whether it is refused.")


class KeyEntries(Section):
    """A whole keys file."""

    keys: tuple[KeyEntry, ...] = Field(description="The keys.")

    @model_validator(mode="after")
    def _check_distinct(self) -> KeyEntries:
        check_distinct(self.keys, "keys")
        return self


def check_distinct(entries: Iterable[KeyEntry], name: str) -> None:
    """Refuse an id or a digest that stands twice. Raises: FieldError below `name`."""
    ids: set[str] = set()
    digests: dict[str, str] = {}
    for place, entry in enumerate(entries):
        if entry.id in ids:
            raise FieldError((name, place, "id"), f"the id `{entry.id}` stands twice, wanted one entry for each key")
        ids.add(entry.id)
        for part, one in enumerate(entry.digests):
            if one.digest in digests:
                at = (name, place, "digests", part, "digest")
                raise FieldError(at, f"this digest is also one of `{digests[one.digest]}`, wanted each once")
            digests[one.digest] = entry.id
