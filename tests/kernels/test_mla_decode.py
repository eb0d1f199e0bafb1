"""What a decode owes beyond being right on its cases; run with TRITON_INTERPRET=1, in its own process."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.kernels import mla_decode as about
from bench.kernels.planted import planted
from bench.kernels.poison import Poisoned
from bench.kernels.spec import Inputs, Plant, Spec, relative_error
from headgate.inference.kernels.mla_decode import MAX_SPLITS, mla_decode
from headgate.inference.kernels.mla_decode_torch import mla_decode as in_torch

CPU = torch.device("cpu")
PAGE = 16
ROUNDING = about.tolerance(torch.float32)
BY_SEQUENCE = ("q", "page_table", "lengths")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(20)


@pytest.fixture(params=(1, 2))
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def make(*lengths: int) -> Inputs:
    return about.make(CPU, torch.float32, lengths)


def chosen(inputs: Inputs, sequences: list[int]) -> Inputs:
    """Some of the sequences, in that order, with a table that is just wide enough for them."""
    found = {**inputs, **{name: inputs[name][sequences] for name in BY_SEQUENCE}}
    most = int(found["lengths"].max()) if sequences else 0
    found["page_table"] = found["page_table"][:, : -(-most // PAGE)]
    return found


def decoded(inputs: Inputs, split: int) -> Tensor:
    """Decode with splits of so many tokens, nothing being written beside the outputs."""
    config = {"HEADS": 16, "BLOCK": PAGE, "SPLIT": split, "num_warps": 4, "num_stages": 2}
    with Poisoned() as memory:
        out = mla_decode(**inputs, config=config)
    assert memory.is_intact()
    return out


def error(got: Tensor, inputs: Inputs) -> float:
    return relative_error((got,), about.oracle(inputs))


def test_a_row_has_its_bits_whatever_batch_it_is_in() -> None:
    inputs = make(33, 0, 1, 70, 16)
    together = decoded(inputs, 32)
    for some in ([0], [1], [3], [4, 2], [3, 3, 1, 0]):
        assert torch.equal(decoded(chosen(inputs, some), 32), together[some])


def test_a_row_has_its_bits_whatever_stands_in_the_table_past_its_length() -> None:
    inputs = make(17, 40)
    before = decoded(inputs, 16)
    for sequence, count in enumerate((2, 3)):
        inputs["page_table"][sequence, count:] = inputs["page_table"][0, 0]  # a page with rows in it
    assert torch.equal(decoded(inputs, 16), before)


@pytest.mark.parametrize("num_splits", (1, 2, 7, 32))
def test_splits_agree(num_splits: int) -> None:
    inputs = make(505)
    split = -(-505 // num_splits // PAGE) * PAGE
    assert error(decoded(inputs, split), inputs) <= ROUNDING


def test_it_is_right_on_both_sides_of_a_split() -> None:
    inputs = make(31, 32, 33, 63, 64, 65)
    assert error(decoded(inputs, 32), inputs) <= ROUNDING


def test_splits_grow_once_there_are_as_many_as_may_be_kept() -> None:
    inputs = make(PAGE * MAX_SPLITS + 1, PAGE + 1)
    assert error(decoded(inputs, PAGE), inputs) <= ROUNDING


def test_scores_need_their_maximum_subtracted_where_splits_are_added_up() -> None:
    inputs = {**make(20), "scale": 300.0}
    bug = Plant("without it", 'other=float("-inf")) - highest)', 'other=float("-inf")))')
    with planted(Spec("mla_decode"), bug) as module, np.errstate(all="ignore"):
        assert not error(module.mla_decode(**inputs), inputs) <= ROUNDING
    assert error(mla_decode(**inputs), inputs) <= ROUNDING


@pytest.mark.parametrize(("page_size", "rank"), ((8, 32), (24, 32), (16, 31)))
def test_what_cannot_be_loaded_is_refused(page_size: int, rank: int) -> None:
    inputs = about.make(CPU, torch.float32, (5,), rank=rank, page_size=page_size)
    with pytest.raises(ValueError, match="expected"):
        mla_decode(**inputs)


@given(st.lists(st.integers(0, 70), max_size=6), st.data())
@settings(max_examples=25, deadline=None)
def test_in_torch_a_row_has_its_bits_whatever_batch_it_is_in(lengths: list[int], data: st.DataObject) -> None:
    inputs = make(*lengths)
    together = in_torch(**inputs)
    some = data.draw(st.lists(st.sampled_from(range(len(lengths))), max_size=8)) if lengths else []
    assert torch.equal(in_torch(**chosen(inputs, some)), together[some])


@pytest.mark.parametrize("heads", (1, 4, 5, 16))
def test_in_torch_it_has_them_with_any_threads(threads: int, heads: int) -> None:
    inputs = about.make(CPU, torch.float32, (100, 37, 100, 1, 100, 2), heads=heads)
    together = in_torch(**inputs)
    assert error(together, inputs) <= ROUNDING
    for some in ([0], [2], [4, 0], [1], [3], [5, 1, 2]):
        assert torch.equal(in_torch(**chosen(inputs, some)), together[some])


def test_in_torch_a_length_is_computed_once_for_all_its_sequences() -> None:
    """Sequences of one length are one product: no loop over them."""
    inputs = make(*[20] * 8, *[30] * 8)
    with torch.profiler.profile() as seen:
        in_torch(**inputs)
    assert sum(event.count for event in seen.key_averages() if event.key == "aten::bmm") == 2 * 2
