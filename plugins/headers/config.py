"""Settings of `headers`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ...proxy.config.header_edits import FieldName, HeaderEdits
from ...proxy.config.section import Flag, Section
from ...proxy.config.units import Duration
from ...proxy.config.wording import FieldError, Words, shown

ANY = "*"
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ORIGIN_WORDS = Words("an origin in lower case", "origins", "`https://app.example`, `https://*.app.example` or `*`")
_METHOD_WORDS = Words("a method", "methods", "`POST`")


def _origin(value: object) -> str:
    if value == ANY:
        return ANY
    found = _ORIGIN.fullmatch(value) if isinstance(value, str) and len(value) <= 256 else None
    if found is None:
        raise ValueError(f"got {shown(value)}, wanted {_ORIGIN_WORDS}, without a path and a slash at its end")
    if found["port"] is not None and found["port"] == _DEFAULT_PORTS.get(found["scheme"]):
        raise ValueError(f"got {shown(value)}, wanted it without the port, which browsers leave out")
    return found[0]


def _method(value: object) -> str:
    if not isinstance(value, str) or not _METHOD.fullmatch(value):
        raise ValueError(f"got {shown(value)}, wanted {_METHOD_WORDS}")
    return value


Origin = Annotated[str, BeforeValidator(_origin), _ORIGIN_WORDS]
Method = Annotated[str, BeforeValidator(_method), _METHOD_WORDS]


class CorsConfig(Section):
    """Which pages may ask, and for what."""

    allow_origins: tuple[Origin, ...] = Field(
        min_length=1, description="Origins of the pages; `*.` stands for any subdomains, `*` alone for all pages."
    )
    allow_methods: tuple[Method, ...] = Field(
        default=("GET", "HEAD", "POST"), min_length=1, description="Methods that they may use; `*` for all."
    )
    allow_headers: tuple[FieldName, ...] = Field(
        default=("authorization", "content-type"),
        description="Request fields that they may set; `*` for all but Authorization, which has to be named.",
    )
    expose_headers: tuple[FieldName, ...] = Field(default=(), description="Fields of the answer that they may read.")
    allow_credentials: Flag = Field(default=False, description="Whether browsers may add cookies and the like.")
    max_age: Duration = Field(default=600.0, le=86400, description="How long a browser may remember what is allowed.")
    allow_private_network: Flag = Field(
        default=False, description="Whether pages of the public network may ask a gateway of a private one."
    )

    @model_validator(mode="after")
    def _check(self) -> CorsConfig:
        """Source: Fetch, "CORS protocol and credentials": with them a `*` is a name like any other."""
        for name in ("allow_origins", "allow_methods", "allow_headers", "expose_headers"):
            listed = getattr(self, name)
            if ANY not in listed:
                continue
            if self.allow_credentials:
                raise FieldError((name,), "got `*` together with `allow_credentials`, wanted names: browsers refuse it")
            if name == "allow_origins" and len(listed) > 1:
                raise FieldError((name,), "got `*` and others, wanted `*` alone or names alone")
        return self


class HstsConfig(Section):
    """That browsers are to come by https only."""

    max_age: Duration = Field(description="How long they remember it.")
    subdomains: Flag = Field(default=False, description="Whether it holds of subdomains, too.")
    preload: Flag = Field(default=False, description="Whether browsers may ship it in their lists.")


class HeadersConfig(HeaderEdits):
    """Settings. What a route sets takes the place of what is set here, member by member."""

    preset: Literal["none", "api", "page"] = Field(
        default="none", description="Fields for what serves data (`api`) or pages (`page`), where the answer has none."
    )
    hsts: HstsConfig | None = Field(default=None, description="Strict-Transport-Security, on answers over https.")
    cors: CorsConfig | None = Field(default=None, description="Which pages of other origins may ask; without it none.")

    @model_validator(mode="after")
    def _check(self) -> HeadersConfig:
        for name in self.set:
            if name.startswith("access-control-"):
                raise FieldError(("set", name), "wanted it under `cors`: it depends on who asks")
            if name == "strict-transport-security":
                raise FieldError(("set", name), "wanted `hsts`: it must not stand on an answer without TLS")
        return self
