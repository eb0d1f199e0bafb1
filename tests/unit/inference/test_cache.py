"""The paged cache: sequences of their own lengths, whose pages lie anywhere."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from headgate.inference.batch import Span, make_batch
from headgate.inference.cache import PAGE_ROWS, LatentCache
from headgate.inference.model import Deepseek

NEAR = 1e-5


def _ids(count: int) -> Tensor:
    return torch.randint(0, 256, (count,), generator=torch.Generator().manual_seed(count))


def _poisoned(model: Deepseek, num_pages: int) -> list[Tensor]:
    width = model.config.kv_lora_rank + model.config.qk_rope_head_dim
    return [torch.full((num_pages, PAGE_ROWS, width), torch.nan) for _ in range(model.config.num_hidden_layers)]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_sequences_beside_each_other_are_as_if_alone(model: Deepseek, data: st.DataObject) -> None:
    """Whatever their lengths, whatever part comes at a time, and whoever else has a part."""
    totals = data.draw(st.lists(st.integers(1, 3 * PAGE_ROWS + 1), min_size=1, max_size=3))
    texts = [_ids(total) for total in totals]
    cache = LatentCache(model.config, max(totals), len(totals))
    ends: list[Tensor | None] = [None] * len(totals)
    with torch.inference_mode():
        while any(length < total for length, total in zip(cache.lengths, totals, strict=True)):
            lengths, counts = cache.lengths, [0] * len(totals)
            is_decoding = False
            for at in reversed(range(len(totals))):  # those of one token stand before those of more
                left = totals[at] - lengths[at]
                most = min(left, 1) if is_decoding else left
                counts[at] = most - data.draw(st.integers(0, most))
                is_decoding = is_decoding or counts[at] == 1
            if not any(counts):
                continue
            new = [text[at : at + count] for text, at, count in zip(texts, lengths, counts, strict=True)]
            logits = model(torch.cat(new), cache.extend(counts), is_last_only=True)
            for at, row in zip([at for at, count in enumerate(counts) if count], logits, strict=True):
                ends[at] = row
        for text, end in zip(texts, ends, strict=True):
            assert end is not None
            torch.testing.assert_close(end, model(text[None])[0, -1], rtol=0, atol=NEAR)


@pytest.mark.parametrize("length", [1, PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 4 * PAGE_ROWS])
def test_where_the_pages_lie_changes_no_bit_and_nothing_else_is_read_or_written(model: Deepseek, length: int) -> None:
    ids, num_pages = _ids(length + 1), -(-(length + 1) // PAGE_ROWS)
    shuffled = random.Random(length).sample(range(3 * num_pages), num_pages)
    with torch.inference_mode():
        logits = []
        for pages in (list(range(num_pages)), shuffled):
            layers = _poisoned(model, 3 * num_pages)
            first = model(ids[:length], make_batch(layers, [Span(0, length, pages)]))
            second = model(ids[length:], make_batch(layers, [Span(length, 1, pages)]))
            logits.append(torch.cat((first, second)))
            written = torch.stack([~layer.isnan().all(dim=-1).flatten() for layer in layers])
            assert int(written.sum()) == (length + 1) * len(layers)
            assert bool(
                written[:, [pages[at // PAGE_ROWS] * PAGE_ROWS + at % PAGE_ROWS for at in range(length + 1)]].all()
            )
    assert torch.equal(*logits)
    assert bool(logits[0].isfinite().all())


def test_one_token_after_more_is_refused() -> None:
    layers = [torch.empty(4, PAGE_ROWS, 8)]
    with pytest.raises(ValueError, match=r"those of one token first, got \[2, 1\]"):
        make_batch(layers, [Span(0, 2, [0]), Span(0, 1, [1])])
    with pytest.raises(ValueError, match=r"expected new tokens for each sequence.*got \[1, 0\]"):
        make_batch(layers, [Span(0, 1, [0]), Span(3, 0, [1])])


def test_pages_that_are_too_few_are_refused() -> None:
    layers = [torch.empty(4, PAGE_ROWS, 8)]
    for span in (Span(0, PAGE_ROWS + 1, [0]), Span(PAGE_ROWS, 1, [0]), Span(-1, 2, [0])):
        with pytest.raises(ValueError, match=r"sequence 1: expected pages of 16 rows for .*, got 1 pages"):
            make_batch(layers, [Span(0, 1, [1]), span])
    with pytest.raises(ValueError, match="at least one sequence"):
        make_batch(layers, [])


def test_cache_refuses_more_tokens_than_it_was_made_for(model: Deepseek) -> None:
    cache = LatentCache(model.config, capacity=4, num_sequences=2)
    model(_ids(4), cache.extend([0, 4]))
    with pytest.raises(ValueError, match="at most 4 tokens of a sequence in the cache, got 5"):
        cache.extend([1, 1])
    assert cache.lengths == (0, 4)
    model(_ids(1), cache.extend([1, 0]))
    assert cache.lengths == (1, 4)


def test_a_sequence_for_which_there_is_no_number_is_refused(model: Deepseek) -> None:
    with pytest.raises(ValueError, match="expected a number of new tokens for each of 2 sequences, got 1"):
        LatentCache(model.config, capacity=4, num_sequences=2).extend([3])


def test_cache_memory_follows_use_and_its_growth_changes_no_bit(model: Deepseek) -> None:
    ids = _ids(300)
    with torch.inference_mode():
        grown, whole = LatentCache(model.config, capacity=10**9), LatentCache(model.config, capacity=310)
        logits = [[model(ids[:200], cache.extend([200]))[-1]] for cache in (grown, whole)]
        for at in range(200, 300):
            for cache, seen in zip((grown, whole), logits, strict=True):
                seen.append(model(ids[at : at + 1], cache.extend([1]))[0])
    assert torch.equal(torch.stack(logits[0]), torch.stack(logits[1]))
    rows = {len(layer) * PAGE_ROWS for cache in (grown, whole) for layer in cache.extend([1]).layers}
    assert max(rows) <= 512
