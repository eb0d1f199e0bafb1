"""Shares of the traffic by a stable hash: the same on every worker and host, and after every restart."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from .address_limit import address_group
from .config.header_edits import check_field_name
from .config.wording import Words, shown
from .exchange.exchange import Exchange

NUM_BUCKETS = 10_000
_PARTS = ("key", "tenant", "address", "request")
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 6265 §4.1.1
_BY_WORDS = Words("one of `key`, `tenant`, `address`, `request`, `field:NAME`, `cookie:NAME`", "kinds of callers")
_PERCENT_WORDS = Words("a percentage from 0 to 100 with at most two decimals", "percentages", "`2.5`")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a caller stands: in one of `NUM_BUCKETS` buckets, and, independent of that, at `point` of 2**64."""

    bucket: int
    point: int


@dataclass(frozen=True, slots=True)
class By:
    """What makes requests those of one caller. `name`: of the field or cookie."""

    part: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.part}:{self.name}" if self.name else self.part

    def key_of(self, exchange: Exchange) -> bytes | None:
        """Return whose request it is; None where it does not say."""
        identity = exchange.identity
        if self.part == "key":
            return identity.key_id.encode() if identity is not None else None
        if self.part == "tenant":
            return identity.tenant.encode() if identity is not None else None
        if self.part == "address":
            return address_group(exchange.request.client)
        if self.part == "request":
            return exchange.request_id.encode()
        values = exchange.request.fields.get_all("cookie" if self.part == "cookie" else self.name)
        text = _cookie(values, self.name) if self.part == "cookie" else ", ".join(values)
        return text.encode("latin-1") if text else None


def place_of(salt: str, key: bytes) -> Place:
    """Return where the caller `key` stands.

    Of the SHA-256 of the salt, a zero byte and the key, the first 8 bytes as a big-endian number, modulo `NUM_BUCKETS`,
    are the bucket; the next 8 bytes are the point.
    """
    digest = hashlib.sha256(b"%b\0%b" % (salt.encode(), key)).digest()
    return Place(int.from_bytes(digest[:8], "big") % NUM_BUCKETS, int.from_bytes(digest[8:16], "big"))


def num_buckets(percent: float) -> int:
    """Return how many buckets a percentage is: those from 0 on, so that a larger one holds every smaller one."""
    return round(percent * NUM_BUCKETS / 100)


def _cookie(values: list[str], name: str) -> str:
    for value in values:
        for pair in value.split(";"):
            key, _, text = pair.partition("=")
            if key.strip() == name:
                return text.strip()
    return ""


def _parse_by(value: object) -> By:
    if isinstance(value, By):
        return value
    part, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if part in _PARTS and not colon:
        return By(part)
    if part == "field" and name:
        return By(part, check_field_name(name))
    if part == "cookie" and _COOKIE_NAME.fullmatch(name):
        return By(part, name)
    raise ValueError(f"got {shown(value)}, wanted {_BY_WORDS}")


def _check_percent(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        raise ValueError(f"got {shown(value)}, wanted {_PERCENT_WORDS}")
    if abs(value * 100 - round(value * 100)) > 1e-6:
        raise ValueError(f"got {shown(value)}, wanted {_PERCENT_WORDS}: there are {NUM_BUCKETS} buckets")
    return float(value)


ByValue = Annotated[By, BeforeValidator(_parse_by), _BY_WORDS]
Percent = Annotated[float, BeforeValidator(_check_percent), _PERCENT_WORDS]
