"""One fault as it is asked for: `kind[:argument][,key=value]…`."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.wording import did_you_mean, shown
from .catalogue import KINDS, SHARED, Kind, Parameter, Value

MAX_CHARACTERS = 500


class SpecError(ValueError):
    """A spec that says nothing. The message is one line: what came, and what was wanted."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A fault. Defaults are filled in; `keys` stand in the catalogue's order.

    `times` and `for_ms` bound how long it is in force in a script. `is_for_all`: it meets requests that are no
    completions, too. `at` names the only upstream that does it.
    """

    kind: str
    argument: Value | None = None
    keys: tuple[tuple[str, Value], ...] = ()
    times: int | None = None
    for_ms: int | None = None
    is_for_all: bool = False
    at: str | None = None

    @property
    def count(self) -> int:
        """The argument of a fault that counts tokens or bytes, or a status."""
        return int(self.argument or 0)

    @property
    def duration_s(self) -> float:
        """The argument of a fault that takes a duration."""
        return int(self.argument or 0) / 1000

    def key(self, name: str) -> Value | None:
        """Return the value of a key of its own; None where it has none."""
        return dict(self.keys).get(name)

    def __str__(self) -> str:
        kind = KINDS[self.kind]
        text = self.kind
        if kind.argument is not None and self.argument is not None and self.argument != kind.argument.default:
            text += f":{kind.argument.write(self.argument)}"
        for key, value in zip(kind.keys, map(self.key, (key.name for key in kind.keys)), strict=True):
            if value is not None and value != key.default:
                text += f",{key.name}={key.write(value)}"
        if self.times is not None:
            text += ",once" if self.times == 1 else f",times={self.times}"
        if self.for_ms is not None:
            text += f",for={SHARED['for'].write(self.for_ms)}"
        return text + ",on=all" * self.is_for_all + (f",at={self.at}" if self.at else "")


def parse(text: str) -> Spec:
    """Read one spec. Raises: SpecError."""
    if len(text) > MAX_CHARACTERS:
        raise SpecError(f"got a fault of {len(text)} characters, wanted at most {MAX_CHARACTERS}")
    first, *parts = (part.strip() for part in text.split(","))
    name, colon, argument = first.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        near = did_you_mean(name, KINDS)
        near = near if "did you mean" in near else ";"
        raise SpecError(f"got the fault {shown(first)}{near} wanted one of {', '.join(KINDS)}")
    given = _keys(kind, parts)
    return Spec(
        kind=name,
        argument=_argument(kind, argument if colon else None),
        keys=tuple((key.name, value) for key in kind.keys if (value := given.get(key.name, key.default)) is not None),
        times=_int(given.get("times")),
        for_ms=_int(given.get("for")),
        is_for_all=given.get("on") == "all",
        at=_text(given.get("at")),
    )


def _argument(kind: Kind, text: str | None) -> Value | None:
    if kind.argument is None:
        if text is not None:
            raise SpecError(f"got {shown(f'{kind.name}:{text}')}, wanted {kind.form}: it takes no argument")
        return None
    if text is not None:
        return _read(kind, kind.argument, text)
    if kind.argument.default is None:
        raise SpecError(f"got {shown(kind.name)}, wanted {kind.form} with {kind.argument.wanted}")
    return kind.argument.default


def _keys(kind: Kind, parts: list[str]) -> dict[str, Value]:
    known = {key.name: key for key in kind.keys} | (SHARED if kind.name != "refuse" else {})
    given: dict[str, Value] = {}
    for part in parts:
        name, equals, text = ("times", "=", "1") if part == "once" else part.partition("=")
        if name not in known or not equals:
            names = ", ".join([*(f"{key}=" for key in known), *(["once"] if "times" in known else [])])
            raise SpecError(f"got {shown(part)} in {kind.name}, wanted {f'one of {names}' if names else kind.form}")
        if name in given:
            raise SpecError(f"got {name} twice in {kind.name}, wanted it once")
        given[name] = _read(kind, known[name], text)
    return given


def _read(kind: Kind, parameter: Parameter, text: str) -> Value:
    try:
        return parameter.read(text)
    except ValueError:
        raise SpecError(
            f"got {shown(text)} for {parameter.name} of {kind.name}, wanted {parameter.wanted}, as in {kind.form}"
        ) from None


def _int(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Value | None) -> str | None:
    return value if isinstance(value, str) else None
