"""Changes members of JSON bodies of requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ..proxy.body_scan import Member, members
from ..proxy.config.section import Section, empty_mapping, frozen_mapping
from ..proxy.config.units import ByteSize
from ..proxy.config.wording import Words, shown
from ..proxy.errors import GatewayError
from ..proxy.exchange.exchange import Exchange
from ..proxy.hookspecs import Setup, hookimpl
from ..proxy.verdicts import Reject
from .transform.template import Template, parse

_MAX_BODY_BYTES = 4 << 20  # it is read on the loop: its size bounds the pause
_DIGESTS = ("content-digest", "repr-digest", "digest", "content-md5")  # of a body that is not sent as it came
_VALUE_WORDS = Words("a JSON value", "JSON values")


def _check_name(name: str) -> str:
    if name.lower() == "model":
        raise ValueError(f"got {shown(name)}, wanted the model of a target instead: rights and limits go by it")
    return name


def _check_value(value: object) -> Template | str:
    """Return the JSON text of a value; of a text what it is to be filled into."""
    if isinstance(value, str):
        return parse(value)
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"got {shown(value)}, wanted {_VALUE_WORDS}") from None


MemberName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_name)]
MemberValue = Annotated[Template | str, BeforeValidator(_check_value), _VALUE_WORDS]


class BodyOptions(Section):
    """What a route sets."""

    remove: tuple[MemberName, ...] = Field(default=(), description="Names of members to remove.")
    set: Annotated[Mapping[MemberName, MemberValue], AfterValidator(frozen_mapping)] = Field(
        default_factory=empty_mapping, description="Members to set, by name; those that are there are replaced."
    )
    max_body: Annotated[ByteSize, Field(ge=1, le=_MAX_BODY_BYTES)] = Field(
        default=1 << 20, description="Largest body that is taken."
    )


class TransformBody:
    """Set and remove members at the top of a request's JSON object; all other values are sent as they came.

    Apart from `transform`, since it may have to wait for the body: its routes are not served by the lane.
    """

    RouteOptions = BodyOptions

    def __init__(self) -> None:
        self._name = "transform_body"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name."""
        self._name = setup.name

    @hookimpl
    async def headgate_request(self, exchange: Exchange) -> Reject | None:
        """Change the body. Raises: GatewayError `body_too_large`, and as reading the body does."""
        options: BodyOptions | None = exchange.route.options.get(self._name)
        request = exchange.request
        if options is None or not (options.remove or options.set) or request.body.is_empty:
            return None
        body = await request.body.read(options.max_body)
        if not body:
            return None
        if request.fields.get("content-encoding", "identity").lower() != "identity":
            return Reject("bad_body", "the body must not be compressed")
        request.body.replace(_changed(exchange, _members(body), options))
        for name in _DIGESTS:
            request.fields.remove(name)
        return None


def _members(body: bytes) -> list[tuple[Member, str]]:
    """Return every member with the text of its value. Raises: GatewayError `bad_body`."""
    try:
        text = body.decode()
        return [(member, text[member.start : member.end]) for member in members(text)]
    except (UnicodeDecodeError, ValueError, StopIteration, RecursionError) as error:
        raise GatewayError("bad_body", str(error), public="the body is not a JSON object") from None


def _changed(exchange: Exchange, found: list[tuple[Member, str]], options: BodyOptions) -> bytes:
    dropped = {*options.remove, *options.set}
    kept = [(member.key, text) for member, text in found if member.key not in dropped]
    kept += [(name, _text(exchange, value)) for name, value in options.set.items()]
    return f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in kept)}}}".encode()


def _text(exchange: Exchange, value: Template | str) -> str:
    return json.dumps(value.fill(exchange, str)) if isinstance(value, Template) else value
