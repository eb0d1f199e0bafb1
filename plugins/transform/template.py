"""Texts with placeholders, filled in for one exchange."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ...proxy.exchange.exchange import Exchange

NAMES = ("request_id", "key_id", "tenant", "route", "model", "client")
_MAX_CHARACTERS = 256  # of what a placeholder stands for: a model's name is the client's to choose
_PART = re.compile(r"\{\{|\}\}|\{([a-z0-9_]+)\}|[{}]")
_UNSAFE = re.compile(r"[^!-$&-~]")  # in a field's value: all but visible ASCII, and the sign of the encoding itself


@dataclass(frozen=True, slots=True)
class Template:
    """Text between placeholders: `literals` are one more than `names`. A name of digits is a group of a match."""

    literals: tuple[str, ...]
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        literals = [text.replace("{", "{{").replace("}", "}}") for text in self.literals]
        return literals[0] + "".join(
            f"{{{name}}}{literal}" for name, literal in zip(self.names, literals[1:], strict=True)
        )

    def fill(self, exchange: Exchange, encode: Callable[[str], str], groups: Sequence[str] = ()) -> str:
        """Return the text for an exchange; each value encoded, groups as they are.

        A value that there is not is empty; one of more than 256 characters is cut. Cost: linear in the text.
        """
        if not self.names:
            return self.literals[0]
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            value = groups[int(name) - 1] if name.isdigit() else encode(_value(exchange, name)[:_MAX_CHARACTERS])
            parts += (value, literal)
        return "".join(parts)


def parse(text: str, known: Collection[str] = NAMES) -> Template:
    """Read a text with placeholders; `{{` and `}}` are braces. Raises: ValueError."""
    literals, names, at = [""], list[str](), 0
    for found in _PART.finditer(text):
        literals[-1] += text[at : found.start()]
        at = found.end()
        if found[0] in ("{{", "}}"):
            literals[-1] += found[0][0]
        elif found[1] in known:
            names.append(found[1])
            literals.append("")
        else:
            wanted = ", ".join(f"`{{{name}}}`" for name in known)
            raise ValueError(f"got `{found[0][:40]}`, wanted one of {wanted}; a brace itself is written twice")
    literals[-1] += text[at:]
    return Template(tuple(literals), tuple(names))


def in_field(value: str) -> str:
    """Return a value as it may stand in a field: all but visible ASCII percent-encoded, as UTF-8; `%` as well."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="replace"), value)


def in_target(value: str) -> str:
    """Return a value as it may stand in a segment of a path, or in a query: all but unreserved percent-encoded."""
    return quote(value, safe="", errors="replace")


def _value(exchange: Exchange, name: str) -> str:
    identity = exchange.identity
    if name == "request_id":
        return exchange.request_id
    if name == "route":
        return exchange.route.name
    if name == "client":
        return exchange.request.client
    if name == "model":
        return exchange.model or ""
    if identity is None:
        return ""
    return identity.key_id if name == "key_id" else identity.tenant
