"""Times as parts of the ceilings."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.kernels.figures import bound, figures, floor_us, target
from bench.kernels.spec import Shape

CEILINGS = {"copy": 4e12, "bf16": 8e14, "fp8": 16e14}


def shape(**others: Any) -> Shape:
    about: dict[str, Any] = {"num_bytes": 4_000_000, "num_flops": 8_000_000, "target": 0.0, **others}
    return Shape("a", lambda device, dtype: {"x": torch.empty(0)}, **about)


def test_a_shape_bound_by_memory_is_a_part_of_the_copy() -> None:
    found = figures(shape(target=0.5), 2.0, CEILINGS)
    assert (found.gb_per_s, found.tflop_per_s) == (2000.0, 4.0)
    assert (found.part, found.is_met) == (0.5, True)
    assert figures(shape(target=0.5), 2.01, CEILINGS).is_met is False


@pytest.mark.parametrize(("name", "part"), [("bf16", 0.5), ("fp8", 0.25)])
def test_a_shape_bound_by_arithmetic_is_a_part_of_its_product(name: str, part: float) -> None:
    found = shape(num_flops=8 * 10**8, is_bound_by_memory=False, matmul=name)
    assert bound(found) == name
    assert figures(found, 2.0, CEILINGS).part == part


def test_a_time_can_be_the_target() -> None:
    assert figures(shape(max_us=2.0), 2.0, CEILINGS).is_met is True
    assert figures(shape(max_us=2.0), 2.1, CEILINGS).is_met is False
    assert figures(shape(max_us=2.0, target=0.9), 2.0, CEILINGS).is_met is False
    assert figures(shape(), 2.0, CEILINGS).is_met is None


def test_without_a_ceiling_there_is_no_part() -> None:
    found = figures(shape(target=0.5, is_bound_by_memory=False, matmul="fp8"), 2.0, {"copy": 4e12})
    assert (found.part, found.is_met) == (None, None)


def test_the_floor_is_the_later_of_moving_and_computing() -> None:
    assert floor_us(shape(), CEILINGS) == 1.0
    assert floor_us(shape(num_flops=16 * 10**8), CEILINGS) == 2.0


def test_targets_are_shown() -> None:
    found = [shape(), shape(target=0.5), shape(max_us=8.0), shape(target=0.5, max_us=8.5)]
    assert [target(one) for one in found] == ["-", "0.50", "8 us", "0.50 8.5 us"]
