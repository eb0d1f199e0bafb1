"""A product with weights of 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from .spec import Case, Inputs, Plant, Shape

_TOLERANCES = {torch.float32: 2e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}
_OPCODES = {"_int8_gemm": frozenset({"HGMMA", "UTMALDG"})}

PLANTS = (
    Plant("the scale of the first row", "tl.load(scales + row, mask", "tl.load(scales + 0 * row, mask"),
    Plant("scaled for each part", "    if not IS_CUT:\n", "    if True:\n"),
    Plant("weights without sign", "rows.to(tokens.dtype)", "tl.abs(rows).to(tokens.dtype)"),
    Plant("the last part alone", "total += part\n    token", "total = part\n    token"),
    Plant("the part goes on", "part = tl.zeros(part.shape, tl.float32)", "part = part"),
    Plant("a part too long", "last = min(first + steps, num_blocks)", "last = min(first + steps + 1, num_blocks)"),
    Plant("the first tokens alone", "tile(x, token_tile * TOKENS", "tile(x, 0 * TOKENS"),
    Plant("rows that lie apart", "width, x_stride, TOKENS", "width, width, TOKENS"),
)


def _make(device: torch.device, dtype: torch.dtype, tokens: int, rows: int, width: int) -> Inputs:
    """Make inputs whose results are some 1, with scales that all differ."""
    return {
        "x": torch.empty(tokens, width, dtype=dtype, device=device).normal_(),
        "w": torch.randint(-128, 128, (rows, width), dtype=torch.int8, device=device),
        "scales": (0.5 + torch.rand(rows, device=device)) / 74 * max(1, width) ** -0.5,
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
        (16, 80, 1024),
    ):
        yield Case("{} tokens, {} rows, width {}".format(*sizes), _make(device, dtype, *sizes))
    yield Case("no tokens", _make(device, dtype, 0, 130, 256))
    yield Case("rows that the copy engine does not take", _make(device, dtype, 15, 65, 121))
    wild = _make(device, dtype, 5, 70, 200)
    wild["scales"] = wild["scales"] * 2.0 ** torch.randint(-8, 8, (70,), device=device)
    yield Case("scales of every size", wild)
    ends = _make(device, dtype, 5, 70, 200)
    yield Case("the largest weights", {**ends, "w": torch.where(ends["w"] < 0, -128, 127).to(torch.int8)})
    for width in (320, 122):  # which the copy engine takes and does not
        apart = _make(device, dtype, 6, 70, width)
        x, w = _make(device, dtype, 6, 70, 512)["x"], _make(device, dtype, 1, 70, width + 16)["w"]
        yield Case(f"rows that lie apart, width {width}", {**apart, "x": x[:, 64 : 64 + width], "w": w[:, :width]})


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    return (module.int8_gemm(**inputs),)


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the product."""
    x, w, scales = (inputs[name].cpu().double() for name in ("x", "w", "scales"))
    return (x @ (w * scales[:, None]).T,)


def tolerance(dtype: torch.dtype) -> float:
    """A sum in float32, and a rounding to the type."""
    return _TOLERANCES[dtype]


def shapes() -> list[Shape]:
    """Return projections of DeepSeek-V2-Lite and V3, most of them in decode."""
    found = []
    for name, rows, width, batches in (
        ("V2-Lite gate and up", 21_888, 2048, (1, 16, 64, 4096)),
        ("V2-Lite down", 2048, 10_944, (1, 16, 64)),
        ("V3 q_b", 24_576, 1536, (16, 64)),
        ("V3 o", 7168, 16_384, (1, 16, 64)),
        ("V3 down", 7168, 18_432, (16, 64, 4096)),
    ):
        for tokens in batches:
            num_bytes = rows * width + 4 * rows + 2 * tokens * (rows + width)
            target = 0.7 if tokens <= 16 and rows * width > 2**25 else 0.0
            sizes = (num_bytes, 2 * tokens * rows * width, target, tokens <= 64)
            found.append(Shape(f"{name}, {tokens} tokens", _maker(tokens, rows, width), *sizes, opcodes=_OPCODES))
    return found


def _maker(*sizes: int) -> Callable[[torch.device, torch.dtype], Inputs]:
    return lambda device, dtype: _make(device, dtype, *sizes)


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's own, a product of what becomes x's type before, and what weights of 16 bits take."""

    def packed(inputs: Inputs) -> object:
        return torch._weight_int8pack_mm(inputs["x"], inputs["w"], inputs["scales"].to(inputs["x"].dtype))

    def dequantised(inputs: Inputs) -> object:
        x = inputs["x"]
        return functional.linear(x, inputs["w"].to(x.dtype)) * inputs["scales"].to(x.dtype)

    return {
        "torch _weight_int8pack_mm": packed,
        "torch dequantised": dequantised,
        "torch.compile dequantised": torch.compile(dequantised),
    }
