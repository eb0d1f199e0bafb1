"""Rotary positions, and the latent rows into the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from .spec import Case, Inputs, Plant, Shape, relative_error

EPS = 1e-6
_TOLERANCES = {torch.float32: 1e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}

_HALVES = "second = tl.split(tl.permute(tl.reshape(pairs, (pairs.shape[0], 2, BLOCK)), (0, 2, 1)))"
_ALL_KEPT = "slot = tl.maximum(tl.load(slots + token), 0)"

PLANTS = (
    Plant("turned the other way", "(first * cos - second * sin)", "(first * cos + second * sin)"),
    Plant("angles of the first token", "tl.load(cos + token * HALF", "tl.load(cos + 0 * token * HALF"),
    Plant("pairs are halves", "second = tl.split(tl.reshape(pairs, (pairs.shape[0], BLOCK, 2)))", _HALVES),
    Plant("mean over the block", "axis=0) / RANK", "axis=0) / BLOCK"),
    Plant("nothing into the first slot", "weight, eps, slot >= 0", "weight, eps, slot > 0"),
    Plant("what goes nowhere goes into the first slot", "slot = tl.load(slots + token)", _ALL_KEPT),
    Plant("no weight", "latent * scale * weights", "latent * scale"),
)


def make_inputs(
    device: torch.device, dtype: torch.dtype, tokens: int, heads: int, widths: tuple[int, int, int], page_size: int = 4
) -> Inputs:
    """Make inputs for heads of `nope` and `rope`, latents of `rank`; every other page stays as it is."""
    nope, rope, rank = widths
    num_pages = 2 * (tokens // page_size + 1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device).to(dtype)

    angle = torch.randn(tokens, rope // 2, device=device) * 4
    count = torch.arange(tokens, device=device)
    return {
        "q_rope": draw(tokens, heads, nope + rope)[..., nope:],
        "kv": draw(tokens, rank + rope),
        "weight": draw(rank),
        "eps": EPS,
        "cos": angle.cos(),
        "sin": angle.sin(),
        "pages": draw(num_pages, page_size, rank + rope),
        "slots": count // page_size * 2 * page_size + count % page_size,
        "is_interleaved": True,
        "is_timed": False,
    }


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""

    def make(tokens: int, heads: int, widths: tuple[int, int, int]) -> Inputs:
        return make_inputs(device, dtype, tokens, heads, widths)

    def at(slots: list[int], inputs: Inputs) -> Inputs:
        return {**inputs, "slots": torch.tensor(slots, device=device)}

    yield Case("V2-Lite", make(3, 16, (128, 64, 512)))
    yield Case("more heads than a program takes", make(1, 35, (128, 64, 512)))
    yield Case("small, no powers of two", make(5, 3, (10, 12, 20)))
    yield Case("halves", {**make(5, 3, (10, 12, 20)), "is_interleaved": False})
    yield Case("one pair, one latent", make(2, 1, (0, 2, 1)))
    yield Case("no tokens", make(0, 4, (16, 16, 32)))
    yield Case("page borders", at([0, 3, 4, 7, 15], make(5, 4, (16, 16, 24))))
    yield Case("backwards, and some nowhere", at([9, -1, 2, -1, 0], make(5, 4, (16, 16, 24))))
    yield Case("all nowhere", at([-1, -7], make(2, 4, (16, 16, 24))))
    loud = make(3, 4, (16, 16, 24))
    yield Case("large values", {**loud, "kv": loud["kv"] * 200, "q_rope": loud["q_rope"] * 200})
    yield Case("tiny values, where eps counts", {**loud, "kv": loud["kv"] * 1e-3})
    heads_first = loud["q_rope"].transpose(0, 1).contiguous().transpose(0, 1)
    wide = torch.cat((loud["kv"], loud["kv"]), dim=1)[:, : loud["kv"].shape[1]]
    yield Case("heads before tokens, rows of a wider product", {**loud, "q_rope": heads_first, "kv": wide})


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Return queries, and the latents and keys that stand in the pages then: copies, but where time is taken."""
    pages = inputs["pages"] if inputs["is_timed"] else inputs["pages"].clone()
    query = module.rope_latent(
        **{name: value for name, value in inputs.items() if name != "is_timed"} | {"pages": pages}
    )
    rank = inputs["weight"].numel()
    return query, pages[..., :rank], pages[..., rank:]


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the same in float64, and which rows of pages are written."""
    exact = {name: value.cpu().double() for name, value in inputs.items() if isinstance(value, Tensor)}
    rank, width = len(exact["weight"]), exact["kv"].shape[1]
    pages, is_written = exact["pages"].view(-1, width).clone(), torch.zeros(exact["pages"].shape[:2].numel()).bool()

    def turned(x: Tensor, token: int) -> Tensor:
        cos, sin = exact["cos"][token], exact["sin"][token]
        half = x.shape[-1] // 2
        a, b = (x[..., 0::2], x[..., 1::2]) if inputs["is_interleaved"] else (x[..., :half], x[..., half:])
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

    query = torch.empty(exact["q_rope"].shape, dtype=torch.float64)
    for token, slot in enumerate(inputs["slots"].tolist()):
        query[token] = turned(exact["q_rope"][token], token)
        if slot >= 0:
            row, is_written[slot] = exact["kv"][token], True
            pages[slot, :rank] = row[:rank] / (row[:rank].square().mean() + EPS).sqrt() * exact["weight"]
            pages[slot, rank:] = turned(row[rank:], token)
    pages = pages.view(exact["pages"].shape)
    return query, pages[..., :rank], pages[..., rank:], is_written.view(pages.shape[:2])


def error(got: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """Return the largest error relative to that of a head, latent or key; infinity where another row has changed."""
    *right, is_written = wanted
    for mine, before in zip(got[1:], right[1:], strict=True):
        if not torch.equal(mine.cpu().double()[~is_written], before[~is_written]):
            return float("inf")
    return relative_error(got, tuple(right))


def tolerance(dtype: torch.dtype) -> float:
    """One rounding to the type, or a sum in float32."""
    return _TOLERANCES[dtype]


def shapes() -> list[Shape]:
    """Return the rotations of DeepSeek-V2-Lite and V3."""
    found = []
    for name, heads, tokens in (
        ("V2-Lite", 16, 1),
        ("V2-Lite", 16, 64),
        ("V2-Lite", 16, 4096),
        ("V2-Lite", 16, 16384),
        ("V3", 128, 64),
        ("V3", 128, 4096),
    ):
        num_bytes = tokens * (2 * 2 * (heads * 64 + 576) + 2 * 32 * 4 + 8) + 512 * 2
        num_flops = tokens * (3 * 64 * (heads + 1) + 4 * 512)
        make, target = _maker(tokens, heads), 0.75 if tokens >= 4096 else 0.0
        found.append(Shape(f"{name}, {tokens} tokens", make, num_bytes, num_flops, target))
    return found


def _maker(tokens: int, heads: int) -> Callable[[torch.device, torch.dtype], Inputs]:
    def make(device: torch.device, dtype: torch.dtype) -> Inputs:
        return {**make_inputs(device, dtype, tokens, heads, (128, 64, 512), page_size=64), "is_timed": True}

    return make


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's own: a norm, two rotations, and the rows into the pages."""
    return {"torch": _eager, "torch.compile": torch.compile(_eager)}


def _eager(inputs: Inputs) -> object:
    """Do it in the type of the model, as a model without kernels does."""
    rank, pages = inputs["weight"].numel(), inputs["pages"]
    cos, sin = inputs["cos"].to(pages.dtype), inputs["sin"].to(pages.dtype)
    latent = functional.rms_norm(inputs["kv"][:, :rank], (rank,), inputs["weight"], inputs["eps"])

    def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        first, second = x[..., 0::2], x[..., 1::2]
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)

    rows = torch.cat((latent, turned(inputs["kv"][:, rank:], cos, sin)), dim=-1)
    pages.view(-1, pages.shape[-1]).index_copy_(0, inputs["slots"], rows)
    return turned(inputs["q_rope"], cos[:, None], sin[:, None])
