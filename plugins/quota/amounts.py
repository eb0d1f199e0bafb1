"""What a request takes: requests, tokens, and money in millionths."""

from __future__ import annotations

from typing import NamedTuple

MICRO = 1_000_000
MOST = 1 << 53  # of anything: far more than a limit may be, and their sum still fits


class Amounts(NamedTuple):
    """So many of each; money is in millionths of the currency that the prices are in."""

    requests: int
    tokens: int
    cost: int


UNITS = Amounts._fields


class Price(NamedTuple):
    """Millionths of the currency for a million tokens."""

    input: int
    output: int

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Return what so many tokens cost, in millionths, rounded up."""
        return min(-(-(input_tokens * self.input + output_tokens * self.output) // MICRO), MOST)


def amounts_of(requests: int, input_tokens: int, output_tokens: int, price: Price | None) -> Amounts:
    """Return what a request takes with so many tokens; without a price it costs nothing."""
    cost = price.cost(input_tokens, output_tokens) if price is not None else 0
    return Amounts(requests, min(input_tokens + output_tokens, MOST), cost)


def money(micros: int) -> str:
    """Write millionths as a decimal."""
    whole, rest = divmod(micros, MICRO)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
