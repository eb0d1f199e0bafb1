"""The draw of a token from each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .spec import Case, Inputs, Plant, Shape

# temperature, top_k, top_p, min_p
Setting = tuple[float, int, float, float]
GREEDY, PLAIN = (0.0, 0, 1.0, 0.0), (1.0, 0, 1.0, 0.0)
COUNTED, NUCLEUS, FLOORED = (0.7, 5, 1.0, 0.0), (1.5, 0, 0.9, 0.0), (1.3, 0, 1.0, 0.1)
ALL = (2.0, 40, 0.8, 0.2)
_ROUNDING = 2e-6  # of a share of the sum, or of a token's weight
_Values = npt.NDArray[np.float64]

PLANTS = (
    Plant("the position is not mixed in", "tl.load(positions + row))", "0 * tl.load(positions + row))"),
    Plant("one fewer is kept", "measures >= goal", "measures > goal"),
    Plant("top_p of all, not of what top_k left", "_share(tl.where(is_counted, mass, total)", "_share(total"),
    Plant("min_p before top_p", "tl.where(stage == 0, _COUNT, 0)", "tl.where(stage == 0, _COUNT, min_weight)"),
    Plant("-0 is below 0", "tl.where(x == 0, 0.0, x)", "x"),
)


def make(logits: Tensor, settings: Sequence[Setting], first: int = 0) -> Inputs:
    """Make inputs of logits: the rows take the settings in turn, seeds and positions count from `first`."""
    rows, device = logits.shape[0], logits.device
    columns = [[settings[row % len(settings)][at] for row in range(rows)] for at in range(4)]
    number = torch.arange(first, first + rows, device=device)
    return {
        "logits": logits,
        "seeds": number * 0x123456789ABCD - 2**40,
        "positions": number * 77,
        "temperatures": torch.tensor(columns[0], dtype=torch.float32, device=device),
        "top_ks": torch.tensor(columns[1], dtype=torch.int32, device=device),
        "top_ps": torch.tensor(columns[2], dtype=torch.float32, device=device),
        "min_ps": torch.tensor(columns[3], dtype=torch.float32, device=device),
    }


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""
    inf, nan = float("inf"), float("nan")

    def draw(rows: int, vocab: int, scale: float = 3.0) -> Tensor:
        return (torch.randn(rows, vocab, device=device) * scale).to(dtype)

    def fill(*rows: Sequence[float]) -> Tensor:
        return torch.tensor(rows, device=device, dtype=dtype)

    yield Case("a row of each kind", make(draw(6, 300), (GREEDY, PLAIN, COUNTED, NUCLEUS, FLOORED, ALL)))
    level = torch.linspace(0.5, 0.0, 48, device=device).to(dtype)[None]
    yield Case("level, of which top_k and then top_p keep half", make(level, ((1.0, 24, 0.5, 0.0),), 4))
    yield Case("a vocabulary of 1", make(draw(1, 1), (ALL,)))
    yield Case("a vocabulary of 7", make(draw(1, 7), ((1.0, 6, 0.7, 0.0),)))
    yield Case("no rows", make(draw(0, 64), (PLAIN,)))
    yield Case("wide rows, of which a part is given", make(draw(2, 96)[:, 16:80], (GREEDY, PLAIN)))
    yield Case("all equal", make(torch.full((2, 100), -3.0, device=device).to(dtype), (PLAIN, ALL), 50))
    ties = fill([-1.0, 0.0, -0.0] * 20, [-0.0, 0.0, -1.0] * 20)
    yield Case("ties, of 0 and -0 too", make(ties, ((1.0, 22, 1.0, 0.0), GREEDY), 80))
    yield Case("one token left", make(fill([-inf, -inf, 2.0, -inf]), (NUCLEUS,)))
    tail = fill([-inf, 6.0, 5.8] + [2.5] * 25 + [5.6])
    yield Case("masked tokens, and a tail that min_p cuts", make(tail, ((1.0, 28, 0.7, 0.1),), 12))
    yield Case("peaked, and more wanted than is near", make(fill([-200.0] * 30 + [200.0] * 3), (COUNTED,)))
    small = ((1.0, 0, 1e-6, 0.0), (1.0, 1, 1.0, 0.0), (1.0, 0, 1.0, 1.0), (1e-6, 0, 1.0, 0.0))
    yield Case("top_p tiny, top_k 1, min_p 1, temperature tiny", make(draw(4, 60), small))
    yield Case("not numbers, and infinite", make(fill([nan, 1.0, nan, 2.0], [inf, 1.0, inf, nan]), (ALL, PLAIN)))
    yield Case("nothing but -inf", make(fill([-inf] * 5), (PLAIN,), 3))
    few = torch.rand(3, 4097, device=device) < 0.3  # of the likely, which are listed: more than a block of them
    long = torch.where(few, draw(3, 4097, 1.0), -20.0)
    long[:2, -1] = 8.0  # one row draws it and one does not; the third draws from the end of its list
    yield Case("a chunk and one token", make(long, (PLAIN, PLAIN, (1.0, 1000, 0.5, 0.0)), 476))


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    return (module.sample(**inputs),)


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the ids, and for each row those that rounding may give as well."""
    columns = ("seeds", "positions", "temperatures", "top_ks", "top_ps", "min_ps")
    given = zip(inputs["logits"].cpu().double().numpy(), *(inputs[name].tolist() for name in columns), strict=True)
    ids, others = [], []
    for values, seed, position, *setting in given:
        exact, *near = _row(np.where(np.isnan(values), -np.inf, values), uniform(seed, position), setting)
        ids.append(exact)
        others.append(near)
    return torch.tensor(ids, dtype=torch.int64), torch.tensor(others, dtype=torch.int64)


def uniform(seed: int, position: int) -> float:
    """Give the number in [0, 1) of a seed and a position.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011), Philox4x32-10.
    """
    low = np.uint64(2**32 - 1)
    words = [np.uint64(position >> shift & 2**32 - 1) for shift in (0, 32)] + [np.uint64(0)] * 2
    key = [seed & 2**32 - 1, seed >> 32 & 2**32 - 1]
    for _ in range(10):
        first, second = np.uint64(0xD2511F53) * words[0], np.uint64(0xCD9E8D57) * words[2]
        mixed = [second >> np.uint64(32) ^ words[1] ^ np.uint64(key[0]), second & low]
        words = [*mixed, first >> np.uint64(32) ^ words[3] ^ np.uint64(key[1]), first & low]
        key = [(word + step) % 2**32 for word, step in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True)]
    return (int(words[0]) * 2**32 + int(words[1])) / 2**64


def _row(values: _Values, number: float, setting: Sequence[float]) -> list[int]:
    """Return the id, and then those with each border moved by what rounding may do."""
    order = np.lexsort((np.arange(len(values)), -values))
    temperature, top_k = setting[0], int(setting[1])
    if temperature == 0:
        return [int(order[0])] * 28
    top = values.max()
    with np.errstate(invalid="ignore"):
        powers = np.where(values == top, 1.0, np.exp(np.where(values == top, 0.0, values - top) / temperature))
    moves = [(0.0, 0.0, 0.0), *product((-_ROUNDING, 0.0, _ROUNDING), repeat=3)]
    counted = order[:top_k] if top_k else order
    return [
        _choose(powers, counted, number + a, (setting[2] + b * (setting[2] < 1), setting[3] * (1 + c)))
        for a, b, c in moves
    ]


def kept_ids(powers: _Values, counted: npt.NDArray[np.int64], top_p: float, min_p: float) -> npt.NDArray[np.int64]:
    """Return the tokens that top_p and min_p leave of those that top_k left, which come in order."""
    sums = powers[counted].cumsum()
    before = np.concatenate(([0.0], sums[:-1]))
    stays = (before < top_p * sums[-1]) | (top_p >= 1)
    stays[0] = True
    likely = counted[stays]
    found: npt.NDArray[np.int64] = np.sort(likely[powers[likely] >= min(min_p, 1.0)])
    return found


def _choose(powers: _Values, counted: npt.NDArray[np.int64], number: float, bounds: tuple[float, float]) -> int:
    ids = kept_ids(powers, counted, *bounds)
    sums = powers[ids].cumsum()
    at = int(np.searchsorted(sums, number * sums[-1], side="right"))
    return int(ids[min(at, len(ids) - 1)])


def error(got: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """Return 0 where each id is right, or rounding may have moved it; else 1."""
    ids, others = got[0].cpu(), wanted[1]
    if ids.dtype != torch.int64 or ids.shape != wanted[0].shape:
        return 1.0
    return 0.0 if not len(ids) or bool((ids[:, None] == others).any(dim=1).all()) else 1.0


def tolerance(dtype: torch.dtype) -> float:
    """None: the logits are what they are, and all the same is a whole number."""
    return 0.0


def shapes() -> list[Shape]:
    """Return a step's rows of DeepSeek-V2-Lite and V3, float32 and as they come out of a bf16 product."""
    found = []
    for name, rows, vocab, dtype, setting in (
        ("V2-Lite, 1 row", 1, 102_400, torch.float32, (1.0, 0, 0.95, 0.0)),
        ("V2-Lite, 64 rows", 64, 102_400, torch.float32, PLAIN),
        ("V2-Lite, 64 rows, top_p", 64, 102_400, torch.float32, (1.0, 0, 0.95, 0.0)),
        ("V2-Lite, 64 rows, top_k and top_p", 64, 102_400, torch.float32, (0.7, 50, 0.95, 0.0)),
        ("V3, 256 rows, a mixture", 256, 129_280, torch.bfloat16, None),
    ):
        size = rows * (vocab * dtype.itemsize + 44)
        settings = (PLAIN, GREEDY, NUCLEUS, ALL) if setting is None else (setting,)
        target = 0.3 if rows == 64 else 0.0  # 20 us of 64 rows of V2-Lite
        found.append(Shape(name, _maker(rows, vocab, settings), size, 60 * rows * vocab, target, dtype=dtype))
    return found


def _maker(rows: int, vocab: int, settings: Sequence[Setting]) -> Callable[[torch.device, torch.dtype], Inputs]:
    """Make rows whose probabilities fall as a language's do, by rank to the power of -1.3."""

    def made(device: torch.device, dtype: torch.dtype) -> Inputs:
        ranks = torch.rand(rows, vocab, device=device) * vocab + 1
        return make((20 - 1.3 * ranks.log()).to(dtype), settings)

    return made


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's own: a draw from all, and one from what a sort leaves of it."""

    def draw(inputs: Inputs) -> object:
        scaled = inputs["logits"].float() / inputs["temperatures"].clamp_min(1e-5)[:, None]
        return scaled.softmax(dim=-1).multinomial(1)

    def sort(inputs: Inputs) -> object:
        scaled = inputs["logits"].float() / inputs["temperatures"].clamp_min(1e-5)[:, None]
        ordered, ids = scaled.sort(dim=-1, descending=True)
        shares = ordered.softmax(dim=-1)
        shares = shares.masked_fill(shares.cumsum(dim=-1) - shares >= inputs["top_ps"][:, None], 0.0)
        return ids.gather(1, shares.multinomial(1))

    return {"softmax + multinomial": draw, "softmax + sort + multinomial": sort, "torch.compile": torch.compile(sort)}
