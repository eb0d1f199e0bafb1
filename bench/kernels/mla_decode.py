"""Multi-head latent attention for one new token a sequence, over a paged latent cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from .spec import Case, Inputs, Plant, Shape

_TOLERANCES = {torch.float32: 5e-6, torch.float16: 2**-9, torch.bfloat16: 2**-6}
_OPCODES = {"_mla_split": frozenset({"HGMMA", "UTMALDG"})}

PLANTS = (
    Plant("rows before the block count", "tl.arange(0, BLOCK) >= missing", "tl.arange(0, BLOCK) >= 0"),
    Plant("the output keeps its old scale", "acc * shrink[:, None])", "acc)"),
    Plant("sums are added up unscaled", "total += weight * tl.load", "total += tl.load"),
    Plant("the first page again and again", "tl.load(table + following // PAGE", "tl.load(table + start // PAGE"),
    Plant("no rotated part", "_product(q_rope, tl.trans(rope), scores) * scale", "scores * scale"),
)


def make(
    device: torch.device,
    dtype: torch.dtype,
    lengths: Sequence[int],
    *,
    heads: int = 2,
    rank: int = 32,
    rope: int = 16,
    page_size: int = 16,
) -> Inputs:
    """Make sequences that are scattered over the pages, with traps wherever nothing may be read.

    Rows past a length are NaN, and so is a page of no sequence. The table has two columns more than needed, and past
    a length names that page, one before the first and one far past the last.
    """
    counts = [-(-length // page_size) for length in lengths]
    pages = torch.randn(sum(counts) + 1, page_size, rank + rope)
    pages[-1] = float("nan")
    free = torch.randperm(sum(counts)).tolist()
    traps = torch.tensor((sum(counts), -1, 2**31 - 1), dtype=torch.int32)
    table = traps.repeat(len(lengths), max(counts, default=0) // 3 + 1)
    for sequence, (length, count) in enumerate(zip(lengths, counts, strict=True)):
        own = torch.tensor([free.pop() for _ in range(count)], dtype=torch.int32)
        table[sequence, :count] = own
        if length % page_size:
            pages[own[-1], length % page_size :] = float("nan")
    return {
        "q": torch.randn(len(lengths), heads, rank + rope).to(device, dtype),
        "pages": pages.to(device, dtype),
        "page_table": table.to(device),
        "lengths": torch.tensor(lengths, dtype=torch.int32, device=device),
        "scale": (rank + rope) ** -0.5,
        "rank": rank,
    }


def _scored(inputs: Inputs, scores: Callable[[int], Tensor]) -> Inputs:
    """Give every sequence these scores, exactly: through a column that is no value, and a query of that alone."""
    q, pages, rank = torch.zeros_like(inputs["q"]), inputs["pages"].clone(), inputs["rank"]
    q[..., rank] = 1.0
    for slots, length in zip(inputs["page_table"].tolist(), inputs["lengths"].tolist(), strict=True):
        for at, score in enumerate(scores(length).tolist()):
            pages[slots[at // pages.shape[1]], at % pages.shape[1], rank] = score
    return {**inputs, "q": q, "pages": pages, "scale": 1.0}


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""
    yield Case("ragged, one row, none, page borders", make(device, dtype, (1, 0, 15, 16, 17, 33)))
    yield Case("no sequences", make(device, dtype, ()))
    yield Case("only empty ones", make(device, dtype, (0, 0)))
    yield Case("widths that are no powers of two", make(device, dtype, (5, 20), heads=3, rank=40, rope=8))
    yield Case("pages of 64 and their borders", make(device, dtype, (63, 64, 65), page_size=64))
    yield Case("a split of one row", make(device, dtype, (513,), heads=1, page_size=64))
    yield Case("two tiles of heads", make(device, dtype, (20,), heads=17))
    yield Case("a tile of 64 heads", make(device, dtype, (70,), heads=33, page_size=64))
    short, long = make(device, dtype, (33,)), make(device, dtype, (530,), heads=1, page_size=64)
    half = torch.tensor((200.0, -200.0))
    yield Case("scores of 200 and -200", _scored(long, lambda n: half.repeat(n)[:n]))
    yield Case("scores that rise to 200", _scored(long, lambda n: torch.linspace(-200, 200, n).round()))
    yield Case("scores that fall from 200", _scored(short, lambda n: torch.linspace(200, -200, n).round()))
    yield Case("equal scores of -200", _scored(short, lambda n: torch.full((n,), -200.0)))
    exact = {name: (short[name] * 8).round() / 8 for name in ("q", "pages")}  # or float32 rounds them as it likes
    yield Case("random scores of some 200", {**short, **exact, "scale": 12.0})
    yield Case("strided", _strided(make(device, dtype, (18, 7))))
    if dtype.itemsize == 2:  # in float32 no tile of that rank fits into the registers
        yield Case("as V2-Lite has it", make(device, dtype, (40,), heads=16, rank=512, rope=64))


def _strided(inputs: Inputs) -> Inputs:
    """Lay everything out with gaps: queries by head, pages by layer, and a part of a wider table."""
    pages, table = inputs["pages"], inputs["page_table"]
    return {
        **inputs,
        "q": inputs["q"].transpose(0, 1).contiguous().transpose(0, 1),
        "pages": torch.stack((torch.full_like(pages, float("nan")), pages), dim=1)[:, 1],
        "page_table": torch.cat((table, table), dim=1)[:, : table.shape[1]],
    }


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    return (module.mla_decode(**inputs),)


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the output, one sequence at a time."""
    q, pages, table = inputs["q"].cpu().double(), inputs["pages"].cpu().double(), inputs["page_table"].cpu()
    out = torch.zeros(*q.shape[:2], inputs["rank"], dtype=torch.float64)
    for sequence, length in enumerate(inputs["lengths"].tolist()):
        if length:
            slots = table[sequence, : -(-length // pages.shape[1])].long()
            rows = pages[slots].flatten(0, 1)[:length]
            weights = (inputs["scale"] * q[sequence] @ rows.T).softmax(dim=-1)
            out[sequence] = weights @ rows[:, : inputs["rank"]]
    return (out,)


def tolerance(dtype: torch.dtype) -> float:
    """Sums in float32; or two roundings to the type, of the weights and of the result."""
    return _TOLERANCES[dtype]


def shapes() -> list[Shape]:
    """Return decodes of DeepSeek-V2-Lite (16 heads) and V3 (128), by batch and length."""
    return [
        _shape(16, 1, 8192, target=0.0),
        _shape(16, 64, 1024, target=0.6),
        _shape(16, 64, 8192, target=0.7),
        _shape(16, 64, 8192, target=0.0, page_size=16),
        _shape(128, 64, 4096, target=0.4),
        _shape(128, 64, 4096, target=0.0, page_size=16),
    ]


def _shape(heads: int, batch: int, length: int, target: float, page_size: int = 64) -> Shape:
    rank, width, slots = 512, 576, length // page_size

    def full(device: torch.device, dtype: torch.dtype) -> Inputs:
        return {
            "q": torch.randn(batch, heads, width, device=device, dtype=dtype),
            "pages": torch.randn(batch * slots, page_size, width, device=device, dtype=dtype),
            "page_table": torch.randperm(batch * slots, device=device).view(batch, slots).int(),
            "lengths": torch.full((batch,), length, device=device, dtype=torch.int32),
            "scale": 192**-0.5,
            "rank": rank,
        }

    num_bytes = batch * (length * width + heads * (width + rank)) * 2
    num_flops = 2 * batch * heads * length * (width + rank)
    name = f"{heads} heads, {batch} x {length}, page {page_size}"
    return Shape(name, full, num_bytes, num_flops, target, is_bound_by_memory=heads < 64, opcodes=_OPCODES)


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's own, for sequences that fill their tables."""

    def products(inputs: Inputs) -> object:
        rows = inputs["pages"][inputs["page_table"]].flatten(1, 2)
        scores = torch.bmm(inputs["q"], rows.transpose(1, 2)) * inputs["scale"]
        return torch.bmm(scores.softmax(dim=-1), rows[..., : inputs["rank"]])

    def attention(inputs: Inputs) -> object:
        rows = inputs["pages"][inputs["page_table"]].flatten(1, 2)[:, None]
        latents = rows[..., : inputs["rank"]]
        return functional.scaled_dot_product_attention(inputs["q"][:, None], rows, latents, scale=inputs["scale"])

    return {"gather + bmm": products, "gather + SDPA": attention}
