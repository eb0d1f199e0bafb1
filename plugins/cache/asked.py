"""What a request says to caches."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...proxy.exchange.fields import Fields
from .directives import NONE, Directives, parse_directives

_READ = frozenset(
    (
        b"cache-control",
        b"pragma",
        b"range",
        b"if-match",
        b"if-unmodified-since",
        b"if-none-match",
        b"if-modified-since",
    )
)
_NO_CACHE = Directives({"no-cache": (None,)})
# Credentials that a cache must take for Authorization: the field itself, and what AI services use in its place. Not
# Cookie: RFC 9111 leaves it to the answer to say what it depends on.
_CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"))


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of a request's head that concerns a cache.

    `is_for_origin`: it asks for a part, or sets a condition that only the origin can decide (RFC 9111 §4.3.2).
    `is_conditional`: 304 may be the answer. `is_passed_by`: it is neither answered from the cache nor stored.
    """

    directives: Directives = NONE
    if_none_match: tuple[str, ...] = field(default=())
    if_modified_since: str | None = None
    is_for_origin: bool = False
    is_conditional: bool = field(init=False)
    is_passed_by: bool = field(init=False)

    def __post_init__(self) -> None:
        is_conditional = bool(self.if_none_match) or self.if_modified_since is not None
        object.__setattr__(self, "is_conditional", is_conditional)
        object.__setattr__(self, "is_passed_by", self.is_for_origin or "no-store" in self.directives)


PLAIN = Asked()  # what nearly all requests say: nothing


def read_asked(fields: Fields) -> Asked:
    """Read a request's head. Cost: linear in the fields."""
    for pair in fields.raw:
        if pair[0].lower() in _READ:
            return _read(fields)
    return PLAIN


def has_credential(fields: Fields) -> bool:
    """Whether the request shows a credential to the target itself."""
    return any(name.lower() in _CREDENTIALS for name, _ in fields.raw)


def _read(fields: Fields) -> Asked:
    found: dict[bytes, list[str]] = {}
    for name, value in fields.raw:
        lower = name.lower()
        if lower in _READ:
            found.setdefault(lower, []).append(value.decode("latin-1"))
    dates = found.get(b"if-modified-since")
    return Asked(
        _directives(found),
        tuple(found.get(b"if-none-match", ())),
        dates[0] if dates and len(dates) == 1 else None,
        b"range" in found or b"if-match" in found or b"if-unmodified-since" in found,
    )


def _directives(found: dict[bytes, list[str]]) -> Directives:
    if b"cache-control" in found:
        return parse_directives(found[b"cache-control"])
    # RFC 9111 §5.4: only where there is no Cache-Control.
    pragma = parse_directives(found.get(b"pragma", ()))
    return _NO_CACHE if "no-cache" in pragma else NONE
