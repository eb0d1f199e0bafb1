"""Token choice by a counter-based generator.

The random number of a token is a function of (seed, position) alone: not of earlier draws, of other requests, or of
the process. A generation can so be continued anywhere from its seed and its tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 takes the likeliest token; `top_p` keeps the smallest likeliest set."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


def choose_token(logits: npt.NDArray[np.float32], sampling: Sampling, position: int) -> int:
    """Choose the token for a position of the whole sequence. Shape: logits (vocab,).

    Raises: FloatingPointError where the logits are not numbers.
    Cost: O(vocab · log vocab); O(vocab) at temperature 0.
    """
    if not math.isfinite(logits.max()):
        raise FloatingPointError(f"expected finite logits at position {position}, got {logits.max()}")
    if sampling.temperature == 0:
        return int(logits.argmax())
    order = np.argsort(-logits, kind="stable")
    sums = np.cumsum(_softmax(logits[order], sampling.temperature))
    # A token stays while those before it hold less than top_p; the first always stays.
    kept = max(1, int(np.searchsorted(sums, sampling.top_p * sums[-1], side="left")) + 1)
    sums = sums[:kept]
    drawn = int(np.searchsorted(sums, uniform(sampling.seed, position) * sums[-1], side="right"))
    return int(order[min(drawn, len(sums) - 1)])


def uniform(seed: int, position: int) -> float:
    """Give the number in [0, 1) that belongs to this seed and position."""
    key = (seed & _MASK, seed >> 32 & _MASK)
    high, low, _, _ = philox((position & _MASK, position >> 32 & _MASK, 0, 0), key)
    return ((high << 32 | low) >> 11) * 2.0**-53


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Mix a counter of four 32-bit words under a key of two: Philox4x32 with ten rounds.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & _MASK, p0 >> 32 ^ c3 ^ k1, p0 & _MASK
        k0, k1 = k0 + 0x9E3779B9 & _MASK, k1 + 0xBB67AE85 & _MASK
    return c0, c1, c2, c3


def _softmax(logits: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float64]:
    scaled = logits.astype(np.float64)
    with np.errstate(over="ignore"):
        powers = np.exp((scaled - scaled.max()) / temperature)
    shares: npt.NDArray[np.float64] = powers / powers.sum()
    return shares
