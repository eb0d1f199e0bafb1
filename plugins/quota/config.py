"""Settings of the quota."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, ValidationInfo, model_validator

from ...proxy.config.scope import scope_of
from ...proxy.config.section import Section, Whole, empty_mapping
from ...proxy.config.wording import FieldError, Words, shown
from .amounts import MICRO, UNITS, Price
from .cells import MAX_ACCOUNTS
from .ledger import Limits
from .periods import Per

ANY_MODEL = "*"
_MAX_UNITS = 1_000_000_000_000_000
_MAX_TOKENS = 100_000_000
_MONEY = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")
_MONEY_WORDS = Words("an amount of money, in quotes", "amounts of money", '`"2.50"`')
_FILE_WORDS = Words("the path of a file in a directory that exists", "paths", "`quota.accounts`")


def _micros(value: object) -> int:
    """Return millionths. A number of YAML would have been rounded before it is seen here: only whole ones may come."""
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    found = _MONEY.fullmatch(text)
    if found is None:
        raise ValueError(f"got {shown(value)}, wanted {_MONEY_WORDS} with at most six decimals")
    return int(found[1]) * MICRO + int((found[2] or "").ljust(6, "0"))


def _file(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"got {shown(value)}, wanted {_FILE_WORDS}")
    path = scope_of(info).directory / value
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError(f"got {shown(value)}, wanted {_FILE_WORDS}")
    return path


Money = Annotated[int, PlainValidator(_micros), _MONEY_WORDS]
AccountsFile = Annotated[Path, PlainValidator(_file), _FILE_WORDS]
Units = Annotated[Whole, Field(ge=1, le=_MAX_UNITS)]
Tokens = Annotated[Whole, Field(ge=1, le=_MAX_TOKENS)]


class PriceConfig(Section):
    """What the tokens of one model cost."""

    input: Money = Field(description="Price of a million tokens of the prompt, in quotes.")
    output: Money = Field(description="Price of a million tokens of the answer, in quotes.")

    @property
    def price(self) -> Price:
        """The price in millionths."""
        return Price(self.input, self.output)


class LimitConfig(Section):
    """What a key or tenant may have in one period."""

    by: Literal["key", "tenant"] = Field(description="Whose requests are counted together.")
    per: Per = Field(
        description="For how long: a `minute`, `hour`, `day`, `week` (from Monday) or `month` of the calendar in UTC, "
        "or `total`, which is never renewed."
    )
    max_requests: Units | None = Field(default=None, description="How many requests.")
    max_tokens: Units | None = Field(default=None, description="How many tokens, those of prompts and answers.")
    max_cost: Money | None = Field(default=None, description="How much money, in quotes, by `prices`.")

    @model_validator(mode="after")
    def _check(self) -> LimitConfig:
        if self.limits == (None,) * len(UNITS):
            raise FieldError((), "got no limit, wanted `max_requests`, `max_tokens` or `max_cost`")
        return self

    @property
    def limits(self) -> Limits:
        """The limits, in the order of `UNITS`."""
        return self.max_requests, self.max_tokens, self.max_cost


class QuotaOptions(Section):
    """What a route may set."""

    default_max_tokens: Tokens | None = Field(
        default=None, description="Tokens reserved for the answer to a request that sets no maximum itself."
    )
    max_tokens_reserved: Tokens | None = Field(
        default=None,
        description="The most tokens that are reserved for an answer, whatever the request sets. An answer that takes "
        "more can exceed the quota.",
    )


class QuotaConfig(Section):
    """Settings."""

    limits: tuple[LimitConfig, ...] = Field(
        min_length=1, max_length=12, description="The limits; a request is within all of them, or refused."
    )
    prices: Mapping[str, PriceConfig] = Field(
        default_factory=empty_mapping,
        description="What models cost, by the name of the model; `*` stands for all others. Needed for `max_cost`.",
    )
    file: AccountsFile | None = Field(
        default=None,
        description="File in which accounts outlive the gateway; made where there is none. Left out: a restart "
        "forgets them.",
    )
    max_accounts: Annotated[Whole, Field(ge=1, le=MAX_ACCOUNTS)] = Field(
        default=10_000,
        description="Accounts in use at once: keys or tenants, times the limits that they come under. Where there is "
        "no room for a newcomer its requests are refused.",
    )
    bytes_per_token: Annotated[Whole, Field(ge=1, le=16)] = Field(
        default=4, description="By how many bytes of a request's body one token of the prompt is reserved."
    )
    default_max_tokens: Tokens = Field(
        default=4096, description="Tokens reserved for the answer to a request that sets no maximum itself."
    )
    on_exceeded: Literal["charge", "stop"] = Field(
        default="charge",
        description="What becomes of a stream that takes more than was reserved for it: `charge` lets it come to its "
        "end and charges that, also beyond the limit; `stop` reserves more while there is any, and then ends it.",
    )
    tokens_per_event: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=1,
        description="Tokens that an event of a stream counts as, as long as the service tells no number of its own.",
    )

    @model_validator(mode="after")
    def _check(self) -> QuotaConfig:
        seen: set[tuple[str, str]] = set()
        for place, limit in enumerate(self.limits):
            if (limit.by, limit.per) in seen:
                raise FieldError(("limits", place), f"got `by: {limit.by}` `per: {limit.per}` twice, wanted it once")
            seen.add((limit.by, limit.per))
            if limit.max_cost is not None and not self.prices:
                raise FieldError(("limits", place, "max_cost"), "got a limit on money, wanted `prices` with it")
        return self
