"""Settings of the second level."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from ....proxy.config.files import ReadableFile
from ....proxy.config.secrets import SecretRef
from ....proxy.config.section import Section
from ....proxy.config.units import ByteSize, Timeout
from ....proxy.config.wording import FieldError, Words

_URL = re.compile(r"(?:rediss?|unix)://[!-~]+")
_URL_WORDS = Words("the address of a Redis", "addresses", "`redis://cache.example:6379/0`")
_MAX_DATABASE = 1 << 20
_DEFAULT_PORT = 6379
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class Address:
    """Where a Redis listens: at `host` and `port`, or at the socket `path`. Never with a credential."""

    __slots__ = ("database", "host", "is_tls", "path", "port", "text")

    def __init__(self, text: str) -> None:
        """Read an address. Raises: ValueError, which never shows it: it may hold a password."""
        parts = urlsplit(text)
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"got a credential in the address, wanted {_URL_WORDS}; say it in username and password")
        is_socket = parts.scheme == "unix"
        self.text = text
        self.is_tls = parts.scheme == "rediss"
        self.host = "" if is_socket else parts.hostname or ""
        self.port = 0 if is_socket else parts.port or _DEFAULT_PORT
        self.path = parts.path if is_socket else ""
        database = dict(parse_qsl(parts.query)).get("db", "") if is_socket else parts.path.removeprefix("/")
        is_query_right = not parts.query or (is_socket and parts.query == f"db={database}")
        is_whole = bool(self.path or self.host) and not parts.fragment and is_query_right
        if not is_whole or not (database.isdecimal() or not database) or len(database) > 7:
            raise ValueError("it is not whole")
        self.database = int(database or "0")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


def _address(value: object) -> str:
    """Return an address that can be read. What is none is not shown: it may hold a password."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise ValueError(f"got something else, wanted {_URL_WORDS}, `rediss://…` or `unix:///path?db=0`")
    try:
        Address(value)
    except ValueError as error:
        known = str(error) if str(error).startswith("got") else f"got something else, wanted {_URL_WORDS}"
        raise ValueError(known) from None
    return value


RedisUrl = Annotated[str, BeforeValidator(_address), _URL_WORDS]


class SecondConfig(Section):
    """A Redis in which instances find each other's answers."""

    url: RedisUrl = Field(
        description="Where it is: `redis://host:port/database`, `rediss://…` with TLS, `unix:///path?db=database`."
    )
    username: str | None = Field(default=None, min_length=1, max_length=256, description="User of its access list.")
    password: SecretRef | None = Field(
        default=None, description="Its password: `env:NAME` or `file:PATH`. Left out: none is sent."
    )
    ca: ReadableFile | None = Field(
        default=None, description="Certificates of those whom its certificate may be from; else those of the system."
    )
    prefix: Prefix = Field(
        default="headgate",
        description="How all keys begin. Instances with the same prefix share answers: they must have the same routes.",
    )
    timeout: Annotated[Timeout, Field(le=5)] = Field(
        default=0.05, description="How long a request waits for it, at most; then it goes on to the target."
    )
    max_entry: Annotated[ByteSize, Field(ge=1024, le=64 << 20)] = Field(
        default=1 << 20, description="The largest answer to keep there, fields included."
    )
    max_queued: Annotated[ByteSize, Field(ge=1024)] = Field(
        default=16 << 20, description="Answers that wait to be written, in bytes; what is more is not written."
    )

    @model_validator(mode="after")
    def _check(self) -> SecondConfig:
        if find_spec("redis") is None:
            raise FieldError((), "redis-py is not installed, wanted it: pip install 'headgate[redis]'")
        if self.username is not None and self.password is None:
            raise FieldError(("username",), "wanted `password` beside it")
        if self.ca is not None and not self.address.is_tls:
            raise FieldError(("ca",), "wanted it with an address that begins with rediss:// only")
        return self

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address(self.url)
