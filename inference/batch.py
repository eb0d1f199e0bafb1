"""What one forward pass computes with a cache: new tokens of several sequences, and where their rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Span:
    """The new tokens of one sequence: `count` of them after `length` cached ones; `pages` have room for all."""

    length: int
    count: int
    pages: Sequence[int]

    @property
    def total(self) -> int:
        """The rows of the sequence, the new ones counted."""
        return self.length + self.count


@dataclass(frozen=True, slots=True)
class Prefill:
    """The sequences of several new tokens each.

    Shape: query_starts and key_starts (sequences + 1,) int32, where the new tokens and the rows of each begin and the
    last ones end; key_slots (rows,) int64, where each row is in the cache.
    """

    query_starts: Tensor
    key_starts: Tensor
    key_slots: Tensor
    max_queries: int


@dataclass(frozen=True, slots=True)
class Batch:
    """New tokens, sequence after sequence: first the `num_decodes` sequences of one new token, then `prefill`.

    A slot is a row's place in the cache: page · page size + offset.
    Shape: layers (pages, page size, width) each; positions and slots (tokens,) int64; ends (sequences,) int64, the last
    token of each; page_table (decodes, most pages) and lengths (decodes,) int32, the new row counted.
    """

    layers: Sequence[Tensor]
    positions: Tensor
    slots: Tensor
    ends: Tensor
    num_decodes: int
    page_table: Tensor
    lengths: Tensor
    prefill: Prefill | None


def make_batch(layers: Sequence[Tensor], spans: Sequence[Span]) -> Batch:
    """Lay out a forward pass over `spans`, in their order; `layers` are the pages of each layer.

    Raises: ValueError unless those of one new token come first, and each has one at least, and pages for all its rows.
    Cost: O(new tokens + rows of the prefilled sequences).
    """
    if not spans:
        raise ValueError("expected at least one sequence with new tokens, got none")
    num_decodes = sum(span.count == 1 for span in spans)
    decodes, prefills = spans[:num_decodes], spans[num_decodes:]
    if any(span.count != 1 for span in decodes) or any(span.count < 1 for span in prefills):
        counts = [span.count for span in spans]
        raise ValueError(f"expected new tokens for each sequence, and those of one token first, got {counts}")
    device, page_size = layers[0].device, layers[0].shape[1]
    _check_room(spans, page_size)
    rows = [_slots(span, page_size) for span in prefills]
    return Batch(
        layers=layers,
        positions=_numbers([at for span in spans for at in range(span.length, span.total)], torch.int64, device),
        slots=torch.cat(
            [
                _numbers([_last_slot(span, page_size) for span in decodes], torch.int64, device),
                *(each[span.length :].to(device) for each, span in zip(rows, prefills, strict=True)),
            ]
        ),
        ends=_numbers(_sums([span.count for span in spans])[1:], torch.int64, device) - 1,
        num_decodes=num_decodes,
        page_table=_page_table(decodes, page_size, device),
        lengths=_numbers([span.total for span in decodes], torch.int32, device),
        prefill=_prefill(prefills, rows, device) if prefills else None,
    )


def _check_room(spans: Sequence[Span], page_size: int) -> None:
    for number, span in enumerate(spans):
        if span.length < 0 or len(span.pages) * page_size < span.total:
            wanted = f"expected pages of {page_size} rows for {span.length} cached rows and {span.count} new ones"
            raise ValueError(f"sequence {number}: {wanted}, got {len(span.pages)} pages")


def _prefill(spans: Sequence[Span], rows: Sequence[Tensor], device: torch.device) -> Prefill:
    counts = [span.count for span in spans]
    return Prefill(
        query_starts=_numbers(_sums(counts), torch.int32, device),
        key_starts=_numbers(_sums([span.total for span in spans]), torch.int32, device),
        key_slots=torch.cat([*rows]).to(device),
        max_queries=max(counts),
    )


def _page_table(spans: Sequence[Span], page_size: int, device: torch.device) -> Tensor:
    used = [span.pages[: -(-span.total // page_size)] for span in spans]
    most = max(map(len, used), default=0)
    table = [[*pages, *[0] * (most - len(pages))] for pages in used]
    return torch.tensor(table, dtype=torch.int32, device=device).view(len(spans), most)


def _last_slot(span: Span, page_size: int) -> int:
    page, offset = divmod(span.length, page_size)
    return span.pages[page] * page_size + offset


def _slots(span: Span, page_size: int) -> Tensor:
    """Where all rows of a sequence are. Shape: (rows,)."""
    first = torch.tensor(span.pages, dtype=torch.int64)[:, None] * page_size
    return (first + torch.arange(page_size)).flatten()[: span.total]


def _sums(counts: Sequence[int]) -> list[int]:
    sums = [0]
    for count in counts:
        sums.append(sums[-1] + count)
    return sums


def _numbers(numbers: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(numbers, dtype=dtype, device=device)
