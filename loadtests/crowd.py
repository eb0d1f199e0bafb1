"""Who sends what: the load of a scenario, as it is handed to the generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .shapes.curve import Curve

KINDS = ("chat", "stream", "cached", "abusive", "slow")


@dataclass(frozen=True, slots=True)
class Crowd:
    """Clients of one kind. Each has a key of its own; together they send as `curve` says."""

    kind: str
    curve: Curve
    keys: tuple[int, ...]
    model: str = "auto"
    address: str = "127.0.0.1"  # where they come from
    retries: int = 0  # how often a failed request is sent again
    backoff_s: float = 1.0  # the pause before that, always the same: nobody spreads out

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"expected one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.keys:
            raise ValueError(f"expected a key for each client of the crowd {self.kind!r}, got none")


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator is to do: `seed` decides the arrivals, `grace_s` how long it waits for the last answers."""

    url: str
    crowds: tuple[Crowd, ...]
    seconds: float
    seed: int
    grace_s: float = 10.0


def dump(load: Load) -> dict[str, Any]:
    """Return a load as plain values."""
    return asdict(load)


def parse(value: Mapping[str, Any]) -> Load:
    """Return the load that `dump` wrote."""
    crowds = tuple(_crowd(one) for one in value["crowds"])
    return Load(value["url"], crowds, value["seconds"], value["seed"], value["grace_s"])


def _crowd(value: Mapping[str, Any]) -> Crowd:
    points = tuple((at, rate) for at, rate in value["curve"]["points"])
    return Crowd(**{**value, "curve": Curve(points), "keys": tuple(value["keys"])})
