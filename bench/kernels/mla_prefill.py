"""Causal attention of prefills over expanded keys and values, each sequence behind the prefix that it has cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

from .spec import Case, Inputs, Plant, Shape

_TOLERANCES = {torch.float32: 2e-5, torch.float16: 2**-9, torch.bfloat16: 2**-6}
_OPCODES = {"_mla_prefill": frozenset({"HGMMA", "UTMALDG"})}
_TINY, _MODEL = (32, 16), (192, 128)  # widths of a key and a value: of the tests' models, and of served ones
_FOREIGN = 5  # rows past the last sequence

PLANTS = (
    Plant("the cached prefix is forgotten", "offset = num_keys - num_queries + start", "offset = start"),
    Plant("a query sees one key too many", "is_seen = key[None, :] <= last", "is_seen = key[None, :] <= 1 + last"),
    Plant("edge blocks go unmasked", "edge = (offset + 1) // KEYS", "edge = (offset + QUERIES) // KEYS"),
    Plant("values of nobody", "tl.where((key < num_keys)[:, None], value, 0.0)", "value"),
    Plant("the output keeps its old scale", "acc * shrink[:, None])", "acc)"),
    Plant("the sum keeps its old scale", "total * shrink +", "total +"),
    Plant("the widest part alone", "scores = dot(query[1], tl.trans(keys[1]), scores)", "scores = scores"),
    Plant("the first head's keys", "first_key, num_keys, head, offset", "first_key, num_keys, 0 * head, offset"),
    Plant("scores in base e", "scale * math.log2(math.e)", "scale"),
)


def make(
    device: torch.device,
    dtype: torch.dtype,
    lengths: Sequence[tuple[int, int]],
    *,
    heads: int = 2,
    widths: tuple[int, int] = _TINY,
) -> Inputs:
    """Make sequences of so many cached keys and so many queries. Rows of keys and values past the last are NaN."""
    queries, keys = [count for _, count in lengths], [cached + count for cached, count in lengths]
    key, value = (torch.randn(sum(keys) + _FOREIGN, heads, width) for width in widths)
    key[sum(keys) :] = value[sum(keys) :] = float("nan")
    return {
        "query": torch.randn(sum(queries), heads, widths[0]).to(device, dtype),
        "key": key.to(device, dtype),
        "value": value.to(device, dtype),
        "query_starts": torch.tensor([0, *queries]).cumsum(0).int().to(device),
        "key_starts": torch.tensor([0, *keys]).cumsum(0).int().to(device),
        "scale": widths[0] ** -0.5,
        "max_queries": max(queries, default=0),
    }


def _scored(inputs: Inputs, scores: Callable[[int], Tensor]) -> Inputs:
    """Give every sequence these scores, exactly: by the first column of its keys, and queries of that alone."""
    query, key = torch.zeros_like(inputs["query"]), inputs["key"].clone()
    query[..., 0] = 1.0
    for first, end in pairwise(inputs["key_starts"].tolist()):
        key[first:end, :, 0] = scores(end - first)[:, None].to(key)
    return {**inputs, "query": query, "key": key, "scale": 1.0}


def cases(device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield cases."""

    def of(*lengths: tuple[int, int], heads: int = 1, widths: tuple[int, int] = _TINY) -> Inputs:
        return make(device, dtype, lengths, heads=heads, widths=widths)

    ragged = of((0, 5), (0, 1), (1, 1), (7, 3), (0, 0), (3, 0), (1, 33), heads=2)
    yield Case("ragged, prefixes, one query, none", ragged)
    yield Case("widths that are no powers of two", of((5, 20), (0, 7), heads=3, widths=(40, 24)))
    yield Case("no sequences", of())
    yield Case("only empty ones", of((0, 0), (4, 0)))
    yield Case("borders of small blocks", of((31, 1), (32, 1), (0, 31), (1, 31), (0, 32), (1, 32), (0, 33), (31, 34)))
    yield Case("borders of large blocks", of((63, 1), (64, 1), (0, 63), (0, 64), (0, 65), (0, 127), (64, 129)))
    yield Case("a long prefix", of((300, 3), (200, 40)))
    yield Case("widths below a tile's", of((2, 9), heads=3, widths=(8, 8)))
    yield Case("the bound is too large", {**of((2, 9), (0, 3)), "max_queries": 300})
    yield Case("as served models have it", of((10, 40), (0, 3), heads=2, widths=_MODEL))
    yield Case("strided", _strided(of((6, 18), (0, 7), heads=3, widths=(24, 16))))
    long = of((40, 100))
    half = torch.tensor((200.0, -200.0))
    yield Case("scores of 200 and -200", _scored(long, lambda n: half.repeat(n)[:n]))
    yield Case("scores that rise to 200", _scored(long, lambda n: torch.linspace(-200, 200, n).round()))
    yield Case("scores that fall from 200", _scored(long, lambda n: torch.linspace(200, -200, n).round()))
    yield Case("equal scores of -200", _scored(long, lambda n: torch.full((n,), -200.0)))
    exact = {name: (long[name] * 8).round() / 8 for name in ("query", "key")}  # or float32 rounds them as it likes
    yield Case("random scores of some 200", {**long, **exact, "scale": 8.0})


def _strided(inputs: Inputs) -> Inputs:
    """Lay everything out with gaps: queries and keys by head, values as a part of wider rows."""
    value = inputs["value"]
    return {
        **inputs,
        "query": inputs["query"].transpose(0, 1).contiguous().transpose(0, 1),
        "key": inputs["key"].transpose(0, 1).contiguous().transpose(0, 1),
        "value": torch.cat((torch.full_like(value, float("nan")), value), dim=-1)[..., value.shape[2] :],
    }


def run(module: ModuleType, inputs: Inputs) -> tuple[Tensor, ...]:
    """Run it."""
    return (module.mla_prefill(**inputs),)


def oracle(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the output, one sequence at a time."""
    query, key, value = (inputs[name].cpu().double().transpose(0, 1) for name in ("query", "key", "value"))
    out = torch.zeros(query.shape[1], query.shape[0], value.shape[2], dtype=torch.float64)
    spans = zip(pairwise(inputs["query_starts"].tolist()), pairwise(inputs["key_starts"].tolist()), strict=True)
    for (first, end), (first_key, end_key) in spans:
        rows, keys, queries, count = slice(first, end), slice(first_key, end_key), end - first, end_key - first_key
        is_hidden = torch.arange(count)[None] > torch.arange(queries)[:, None] + (count - queries)
        scores = inputs["scale"] * query[:, rows] @ key[:, keys].transpose(1, 2)
        weights = scores.masked_fill(is_hidden, float("-inf")).softmax(dim=-1)
        out[rows] = (weights @ value[:, keys]).transpose(0, 1)
    return (out,)


def tolerance(dtype: torch.dtype) -> float:
    """Scores of 200 in float32; or two roundings to the type, of the weights and of the result."""
    return _TOLERANCES[dtype]


def shapes() -> list[Shape]:
    """Return prefills of DeepSeek-V2-Lite (16 heads) and V3 (128): sequences, cached keys and queries of each."""
    return [
        _shape(16, 16, 0, 512, target=0.0),
        _shape(16, 1, 0, 2048, target=0.0),
        _shape(16, 1, 0, 8192, target=0.5),
        _shape(16, 1, 6144, 2048, target=0.5),
        _shape(128, 1, 0, 4096, target=0.5),
    ]


def _shape(heads: int, sequences: int, cached: int, queries: int, target: float) -> Shape:
    width, columns = _MODEL
    keys = cached + queries

    def full(device: torch.device, dtype: torch.dtype) -> Inputs:
        starts = torch.arange(sequences + 1, dtype=torch.int32, device=device)
        return {
            "query": torch.randn(sequences * queries, heads, width, device=device, dtype=dtype),
            "key": torch.randn(sequences * keys, heads, width, device=device, dtype=dtype),
            "value": torch.randn(sequences * keys, heads, columns, device=device, dtype=dtype),
            "query_starts": starts * queries,
            "key_starts": starts * keys,
            "scale": width**-0.5,
            "max_queries": queries,
        }

    num_pairs = sequences * queries * (2 * cached + queries + 1) // 2
    num_flops = 2 * heads * num_pairs * (width + columns)
    num_bytes = 2 * sequences * heads * (queries + keys) * (width + columns)
    name = f"{heads} heads, {sequences} x {queries} after {cached}"
    return Shape(name, full, num_bytes, num_flops, target, is_bound_by_memory=False, opcodes=_OPCODES)


def _padded(inputs: Inputs) -> Tensor:
    """Return values as wide as keys: others know no other kind."""
    value: Tensor = inputs["value"]
    return functional.pad(value, (0, inputs["key"].shape[2] - value.shape[2]))


def peers() -> Mapping[str, Callable[[Inputs], object]]:
    """Return torch's own, the first for sequences that are all alike."""

    def attention(inputs: Inputs) -> object:
        sequences, queries = inputs["query_starts"].shape[0] - 1, inputs["max_queries"]
        rows = (inputs["query"], inputs["key"], _padded(inputs))
        query, key, value = (part.unflatten(0, (sequences, -1)).transpose(1, 2) for part in rows)
        if queries == key.shape[2]:
            return functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=inputs["scale"])
        seen = causal_lower_right(queries, key.shape[2])
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=inputs["scale"])

    found: dict[str, Callable[[Inputs], object]] = {"SDPA, padded values": attention}
    if find_spec("torch.nn.attention.varlen") is None:
        return found
    from torch.nn.attention.varlen import varlen_attn

    def varlen(inputs: Inputs) -> object:
        sequences = inputs["query_starts"].shape[0] - 1
        starts = inputs["query_starts"], inputs["key_starts"]
        longest = inputs["max_queries"], inputs["key"].shape[0] // sequences
        rows = inputs["query"], inputs["key"], _padded(inputs)
        return varlen_attn(*rows, *starts, *longest, scale=inputs["scale"], window_size=(-1, 0))

    return {**found, "varlen_attn, padded values": varlen}
