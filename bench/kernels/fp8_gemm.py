"""A product of float8 matrices with block scales."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from .spec import Case, Inputs, Plant, Shape

_BLOCK, _LARGEST = 128, 448.0
_TOLERANCES = {torch.float32: 2**-10, torch.float16: 2**-9, torch.bfloat16: 2**-7}
_OPCODES = {"_fp8_gemm": frozenset({"QGMMA", "UTMALDG"})}

PLANTS = (
    Plant("the scale of the block of rows before", "w_scales + first_row // WIDTH * num_blocks", "w_scales"),
    Plant("the scale of the first block of columns", "token_scales + block * block_step", "token_scales + 0 * block"),
    Plant("weights' scales a row further", "tl.load(row_scales + block)", "tl.load(row_scales + block // 2)"),
    Plant(
        "weights' scales left out, weights left",
        "rows, tokens.T, nothing) * scale[None",
        "rows, tokens.T, nothing) * token_scale[None",
    ),
    Plant(
        "weights' scales left out, tokens left",
        "tokens, rows.T, nothing) * scale[:",
        "tokens, rows.T, nothing) * token_scale[:",
    ),
    Plant(
        "one scale for the sum",
        "total += dot(rows, tokens.T, nothing) * scale",
        "total = dot(rows, tokens.T, total) * scale",
    ),
    Plant("all blocks in each part", "last = min(first + steps, num_blocks)", "last = num_blocks"),
    Plant("the last part alone", "total += part\n    row", "total = part\n    row"),
    Plant(
        "all parts in the place of the first",
        "out + at + token.to(tl.int64)[None, :]",
        "out + 0 * at + token.to(tl.int64)[None, :]",
    ),
)


def _drawn(device: torch.device, rows: int, width: int) -> Tensor:
    return (torch.randn(rows, width, device=device) * 100).to(torch.float8_e4m3fn)


def _make(device: torch.device, dtype: torch.dtype, tokens: int, rows: int, width: int) -> Inputs:
    """Make inputs whose results are some 1, with scales that all differ."""

    def scales(*shape: int) -> Tensor:
        return (0.5 + 1.5 * torch.rand(*shape, device=device)) / 100

    blocks = -(-width // _BLOCK)
    return {
        "x": _drawn(device, tokens, width),
        "x_scales": scales(blocks, tokens).T,
        "w": _drawn(device, rows, width),
        "w_scales": scales(-(-rows // _BLOCK), blocks) * width**-0.5,
        "dtype": dtype,
    }


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""
    for sizes in (
        (1, 128, 128),
        (1, 1, 1),
        (3, 40, 200),
        (17, 200, 272),
        (64, 72, 384),
        (130, 150, 144),
        (2, 40, 1040),
        (70, 20, 1152),
        (16, 72, 1024),
    ):
        yield Case("{} tokens, {} rows, width {}".format(*sizes), _make(device, dtype, *sizes))
    yield Case("no tokens", _make(device, dtype, 0, 130, 256))
    yield Case(
        "one token fewer than a tile, rows that the copy engine does not take", _make(device, dtype, 15, 65, 120)
    )
    for tokens in (5, 80):
        wild = _make(device, dtype, tokens, 140, 272)
        for name in ("x_scales", "w_scales"):
            wild[name] = wild[name] * 2.0 ** torch.randint(-6, 6, wild[name].shape, device=device)
        yield Case(f"scales of every size, {tokens} tokens", wild)
        largest = _make(device, dtype, tokens, 140, 260)
        for name in ("x", "w"):
            largest[name] = largest[name].float().sign().mul(_LARGEST).to(torch.float8_e4m3fn)
            largest[f"{name}_scales"] = largest[f"{name}_scales"] / 8
        yield Case(f"the largest values, {tokens} tokens", largest)
    apart = _make(device, dtype, 6, 70, 320)
    yield Case(
        "rows that lie apart",
        {
            **apart,
            "x": _drawn(device, 6, 512)[:, 64:384],
            "x_scales": apart["x_scales"].contiguous(),
            "w": _drawn(device, 70, 336)[:, :320],
        },
    )


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    return (module.fp8_gemm(**inputs),)


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the product, a block of columns at a time."""
    x, x_scales, w, w_scales = (inputs[name].cpu().double() for name in ("x", "x_scales", "w", "w_scales"))
    out = torch.zeros(len(x), len(w), dtype=torch.float64)
    of_row = torch.arange(len(w)) // _BLOCK
    for block, (left, right) in enumerate(zip(x.split(_BLOCK, dim=1), w.split(_BLOCK, dim=1), strict=True)):
        out += x_scales[:, block, None] * w_scales[of_row, block] * (left @ right.T)
    return (out,)


def tolerance(dtype: torch.dtype) -> float:
    """What a tensor core drops from a sum of float8 products, and a rounding to the type."""
    return _TOLERANCES[dtype]


def shapes() -> list[Shape]:
    """Return projections of DeepSeek-V2-Lite and V3, in decode and prefill.

    A product with block scales is held to 0.6 of torch's, which is a peer; of the ceiling, one scale for all, that is
    about half.
    """
    found = []
    for name, rows, width, batches in (
        ("V2-Lite down", 2048, 10_944, (64, 4096)),
        ("V3 q_a", 1536, 7168, (16, 64, 4096)),
        ("V3 q_b", 24_576, 1536, (64, 4096)),
        ("V3 o", 7168, 16_384, (1, 16, 64, 4096)),
        ("V3 down", 7168, 18_432, (64, 4096)),
    ):
        for tokens in batches:
            num_bytes = (tokens + rows) * width + 2 * tokens * rows + 4 * tokens * -(-width // _BLOCK)
            is_decode = tokens <= 64
            target = (0.6 if is_decode else 0.5) if rows * width > 2**24 and tokens >= 64 else 0.0
            sizes = (num_bytes, 2 * tokens * rows * width, target, is_decode)
            make = _maker(tokens, rows, width)
            found.append(Shape(f"{name}, {tokens} tokens", make, *sizes, opcodes=_OPCODES, matmul="fp8"))
    return found


def _maker(*sizes: int) -> Callable[[torch.device, torch.dtype], Inputs]:
    return lambda device, dtype: _make(device, dtype, *sizes)


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's product with the same scales, the one with a single scale, and one of what is scaled before."""

    def blockwise(inputs: Inputs) -> object:
        kinds = functional.ScalingType
        return functional.scaled_mm(
            inputs["x"],
            inputs["w"].t(),
            inputs["x_scales"],
            kinds.BlockWise1x128,
            inputs["w_scales"].t(),
            kinds.BlockWise128x128,
            output_dtype=inputs["dtype"],
        )

    def one_scale(inputs: Inputs) -> object:
        one = torch.ones((), device=inputs["x"].device)
        return torch._scaled_mm(inputs["x"], inputs["w"].t(), scale_a=one, scale_b=one, out_dtype=inputs["dtype"])

    def dequantised(inputs: Inputs) -> object:
        x, w = inputs["x"], inputs["w"]
        by_rows = inputs["w_scales"].repeat_interleave(_BLOCK, dim=0)[: len(w)]
        left, right = (
            (values.float() * scales.repeat_interleave(_BLOCK, dim=1)[:, : values.shape[1]]).to(inputs["dtype"])
            for values, scales in ((x, inputs["x_scales"]), (w, by_rows))
        )
        return functional.linear(left, right)

    return {
        "torch scaled_mm blockwise": blockwise,
        "torch scaled_mm, one scale (other work)": one_scale,
        "torch.compile dequantised": torch.compile(dequantised),
    }
