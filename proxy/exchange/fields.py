"""Header fields of one message, in order, as bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

Pair = tuple[bytes, bytes]


class Fields(Mapping[str, str]):
    """Header fields as they came: order, case and repeated names are kept.

    Reading is case-insensitive and decodes as Latin-1, so that every byte survives (RFC 9110 §5.5).
    As a mapping, the keys are the lower-case names and a repeated field is joined by `, `.
    Cost: a look-up walks the fields; their number is bounded by the listener's limits.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Iterable[Pair] = ()) -> None:
        self.raw: list[Pair] = list(raw)

    def get_all(self, name: str) -> list[str]:
        """Every value of `name`, in order."""
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for key, value in self.raw if key.lower() == wanted]

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0] if len(values) == 1 else ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key.lower().decode("latin-1") for key, _ in self.raw))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def set(self, name: str, value: str) -> None:
        """Replace every field `name` by one. Raises: ValueError for what would not be one field (RFC 9110 §5.5)."""
        pair = pair_of(name, value)
        self.remove(name)
        self.raw.append(pair)

    def add(self, name: str, value: str) -> None:
        """Append one more field `name`. Raises: ValueError as `set` does."""
        self.raw.append(pair_of(name, value))

    def remove(self, name: str) -> None:
        """Remove every field `name`, if there is any."""
        wanted = name.lower().encode("latin-1")
        self.raw = [pair for pair in self.raw if pair[0].lower() != wanted]

    def remove_prefix(self, prefix: str) -> None:
        """Remove every field whose name begins with `prefix`."""
        wanted = prefix.lower().encode("latin-1")
        self.raw = [pair for pair in self.raw if not pair[0].lower().startswith(wanted)]

    def copy(self) -> Fields:
        """Return a copy that may be changed without changing this one."""
        return Fields(self.raw)

    def __repr__(self) -> str:
        return f"Fields({[key.decode('latin-1') for key, _ in self.raw]})"  # names only: values may be secret


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
# Both at once, with between them what neither may hold.
_PAIR = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\n[\t\x20-\x7e\x80-\xff]*")


def pair_of(name: str, value: str) -> Pair:
    """Return a field as it is written. Raises: ValueError for what would not be one field, TypeError for no text."""
    if not (isinstance(name, str) and isinstance(value, str)):
        raise TypeError(f"expected a field's name and value as text, got {name!r} and {type(value).__name__}")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"expected a field name of token characters, got {name!r}")
    value = value.strip(" \t")
    if _CONTROL.search(value):
        raise ValueError(f"expected a value of {name} without control characters")
    return name.encode("latin-1"), value.encode("latin-1")


def check_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse what `pair_of` would. Raises: ValueError, TypeError. Cost: linear, a fraction of making them."""
    for name, value in pairs:
        try:
            is_good = _PAIR.fullmatch(name + "\n" + value) is not None
        except TypeError:
            is_good = False
        if not is_good:
            pair_of(name, value)  # which says what is wrong


def check_raw(raw: Iterable[Pair]) -> None:
    """Refuse fields that would not be read as they are written. Raises: ValueError, TypeError. Cost: linear."""
    for name, value in raw:
        if not (isinstance(name, bytes) and isinstance(value, bytes)):
            raise TypeError(f"expected fields as pairs of bytes, got {name!r} and {value!r}")
        pair_of(name.decode("latin-1"), value.decode("latin-1"))
