"""Rotary positions with YaRN stretching.

Source: RoFormer (arXiv 2104.09864), YaRN (arXiv 2309.00071), as published DeepSeek checkpoints use them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .config import ModelConfig, RopeConfig


class Rope:
    """The angles of one model."""

    def __init__(self, config: ModelConfig) -> None:
        self._inverse_frequencies = _inverse_frequencies(config.rope, config.qk_rope_head_dim)
        self._attention_factor = _attention_factor(config.rope)

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Give cos and sin for each position. Shape: (positions,) to twice (positions, qk_rope_head_dim / 2)."""
        angle = positions.float()[:, None] * self._inverse_frequencies.to(positions.device)
        return angle.cos() * self._attention_factor, angle.sin() * self._attention_factor


def attention_scale(config: ModelConfig) -> float:
    """Give the factor on attention scores: 1/√width, times YaRN's squared temperature where it is declared."""
    scale = 1.0 / math.sqrt(config.qk_head_dim)
    rope = config.rope
    if rope.factor is None or not rope.mscale_all_dim:
        return scale
    temperature = _temperature(rope.factor, rope.mscale_all_dim)
    return scale * temperature * temperature


def _temperature(factor: float, mscale: float = 1.0) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _attention_factor(rope: RopeConfig) -> float:
    if rope.factor is None:
        return 1.0
    if rope.attention_factor is not None:
        return rope.attention_factor
    if rope.mscale and rope.mscale_all_dim:
        return _temperature(rope.factor, rope.mscale) / _temperature(rope.factor, rope.mscale_all_dim)
    return _temperature(rope.factor)


def _inverse_frequencies(rope: RopeConfig, width: int) -> Tensor:
    """Slow dimensions are interpolated by `factor`, fast ones kept, those between blended linearly."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device="cpu") / width
    kept = 1.0 / rope.theta**exponents
    if rope.factor is None:
        return kept
    low, high = _blend_range(rope, width)
    steps = torch.arange(width // 2, dtype=torch.float32, device="cpu")
    share = ((steps - low) / (high - low)).clamp(0, 1)
    return kept / rope.factor * share + kept * (1 - share)


def _blend_range(rope: RopeConfig, width: int) -> tuple[float, float]:
    def dimension(rotations: float) -> float:
        return width * math.log(rope.original_positions / (rotations * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = dimension(rope.beta_fast), dimension(rope.beta_slow)
    if rope.is_truncated:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    return low, high if high != low else high + 0.001
