"""Multi-head latent attention for one new token a sequence, in torch.

Sequences of one length are one batch of matrix products, whose shapes depend on the length alone: nothing is padded to
what else is in the batch. A BLAS still rounds in another way where it cuts a single product between its threads, which
it does when there are fewer products than threads; so every sequence is cut into as many parts as there are threads,
and each thread has products of its own. With that a row's bits do not depend on its batch, as far as was seen (MKL,
1 to 8 threads, 1 to 128 heads); no BLAS promises it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mla_decode(q: Tensor, pages: Tensor, page_table: Tensor, lengths: Tensor, scale: float, rank: int) -> Tensor:
    """Return what each head makes of its sequence's latents; zeros for a sequence of no rows.

    Shape: q (batch, heads, rank + rope); pages (pages, page size, rank + rope); page_table (batch, most pages) and
    lengths (batch,) integers. The result is (batch, heads, rank), of q's type.
    Cost: a copy of the rows that are read, and one round of calls for each length that occurs.
    """
    out = q.new_zeros(*q.shape[:2], rank)
    sequences: dict[int, list[int]] = {}
    for sequence, length in enumerate(lengths.tolist()):
        sequences.setdefault(length, []).append(sequence)
    sequences.pop(0, None)
    for length, found in sequences.items():
        chosen = slice(found[0], found[0] + 1) if len(found) == 1 else found  # a lone one needs no index
        slots = page_table[chosen, : -(-length // pages.shape[1])]
        rows = pages[slots].flatten(1, 2)[:, :length]
        out[chosen] = _attend(q[chosen].float(), rows.float(), scale, rank).to(q.dtype)
    return out


def _attend(q: Tensor, rows: Tensor, scale: float, rank: int) -> Tensor:
    """Attend to equally many rows of each sequence. Shape: (batch, heads, width), (batch, rows, width)."""
    batch, heads, width = q.shape
    length, parts = rows.shape[1], torch.get_num_threads()
    size = -(-length // parts)
    if parts > 1:
        rows = functional.pad(rows, (0, 0, 0, parts * size - length)).view(batch * parts, size, width)
        q = q[:, None].expand(-1, parts, -1, -1).reshape(batch * parts, heads, width)
    scores = torch.bmm(q, rows.transpose(1, 2)).mul_(scale)
    scores = scores.view(batch, parts, heads, size).transpose(1, 2).reshape(batch, heads, parts * size)
    weights = functional.pad(scores[..., :length].softmax(dim=-1), (0, parts * size - length))
    weights = weights.view(batch, heads, parts, size).transpose(1, 2).reshape(batch * parts, heads, size)
    return torch.bmm(weights, rows[..., :rank]).view(batch, parts, heads, rank).sum(dim=1)
