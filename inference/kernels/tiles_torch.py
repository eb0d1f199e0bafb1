"""A product with weights that become float32 a few rows at a time, in torch.

So they are read from memory in their 8 bits, and what is held of them in 32 stays in the cache. A BLAS rounds in
another way for very few rows, and where it cuts a product between its threads; so there are never fewer rows than four,
and each thread has products of its own, with some of the weights and all of x. With that a row's bits do not depend on
its batch, as far as was seen (MKL, 1 to 3 threads); no BLAS promises it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

_LEAST = 4  # rows and columns of a product
_HELD = 2**17  # weights that a thread holds in float32 at a time


def product(x: Tensor, num_rows: int, fill: Callable[[Tensor, int], object]) -> Tensor:
    """Return x · wᵀ in float32. `fill(some, first)` writes rows of w into `some`, from the row `first` on.

    Shape: x (tokens, width) in float32, w (num_rows, width), the result (tokens, num_rows).
    """
    tokens, width = x.shape
    threads = torch.get_num_threads()
    size = _size(num_rows, threads, max(_LEAST, _HELD // max(1, width)))
    held = torch.empty(threads * size, width, device=x.device)
    out = torch.empty(tokens, num_rows, device=x.device)
    if tokens < _LEAST:
        x = functional.pad(x, (0, 0, 0, _LEAST - tokens))
    x = x.expand(threads, -1, -1)
    for first in range(0, num_rows, len(held)):
        count = min(len(held), num_rows - first)
        fill(held[:count], first)
        size = _size(count, threads, size)
        rows = torch.bmm(x, held[: threads * size].view(threads, size, width).transpose(1, 2))[:, :tokens]
        out[:, first : first + count] = rows.transpose(0, 1).flatten(1)[:, :count]
    return out


def _size(num_rows: int, threads: int, most: int) -> int:
    """Return how many rows a thread takes; what is past the last one of w is computed, and left out."""
    return max(_LEAST, min(most, -(-num_rows // threads)))
