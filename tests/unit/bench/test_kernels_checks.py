"""What is noticed of a kernel that is wrong."""

from __future__ import annotations

import pytest
import torch

from bench.kernels.checks import difference, is_far
from bench.kernels.poison import GUARD_BYTES, Poisoned

TYPES = (torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.int32, torch.int64, torch.uint8, torch.bool)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_memory_that_nobody_wrote_shows(dtype: torch.dtype) -> None:
    with Poisoned() as memory:
        made = torch.empty(3, 5, dtype=dtype)
    assert made.shape == (3, 5) and made.dtype == dtype and made.is_contiguous()
    if dtype.is_floating_point:
        assert bool(made.float().isnan().all())
    else:
        assert bool((made != 0).all())
    assert memory.is_intact()


@pytest.mark.parametrize("place", [-1, 15, -GUARD_BYTES // 4, 15 + GUARD_BYTES // 4 - 1])
def test_a_write_beside_an_allocation_is_noticed(place: int) -> None:
    with Poisoned() as memory:
        made = torch.empty(15)
    made.fill_(1.0)
    assert memory.is_intact()
    at = made.storage_offset() + place
    torch.as_strided(made, (1,), (1,), at).fill_(1.0)
    assert not memory.is_intact()


def test_memory_lies_as_without_it() -> None:
    like = torch.zeros(4, 6).T
    with Poisoned():
        made, none = torch.empty_like(like), torch.empty(0, 3)
    assert made.stride() == torch.empty_like(like).stride()
    assert made.data_ptr() % 16 == 0
    assert none.shape == (0, 3)


def test_numbers_differ_by_part_of_the_largest_in_their_row() -> None:
    one = torch.tensor([[1.0, 100.0], [2.0, 1.0]])
    assert difference((one,), (one + torch.tensor([[1.0, 0.0], [0.0, 0.0]]),)) == pytest.approx(0.01)
    assert difference((one,), (one * float("nan"),)) == float("inf")
    assert difference((one * float("nan"),), (one,)) == float("inf")
    assert difference((one,), (one[:1],)) == float("inf")


def test_integers_differ_by_the_part_that_is_unequal_and_only_where_there_are_no_numbers() -> None:
    ids = torch.arange(100)
    other = ids.clone()
    other[7] = 0
    assert difference((ids,), (other,)) == 0.01
    assert difference((torch.ones(1), ids), (torch.ones(1), other)) == 0
    assert difference((ids,), (other[:3],)) == float("inf")


def test_answers_may_differ_by_the_errors_of_both() -> None:
    assert not is_far(2e-2, 2**-6)
    assert is_far(0.2, 2**-6)
    assert is_far(float("nan"), 2**-6)
    assert not is_far(0.01, 0.0) and is_far(0.03, 0.0)
