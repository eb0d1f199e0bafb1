"""Laws of the attention of prefills. Run with TRITON_INTERPRET=1, as the kernels' other tests are."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.kernels import mla_prefill as about
from bench.kernels.spec import relative_error
from headgate.inference.kernels import mla_prefill as kernel
from headgate.inference.kernels import mla_prefill_torch as twin

MODULES = {"kernel": kernel, "torch": twin}
BOTH = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES.keys())
CPU = torch.device("cpu")
ROWS = {"query": "query_starts", "key": "key_starts", "value": "key_starts"}
LENGTHS = st.lists(st.tuples(st.integers(0, 70), st.integers(0, 40)), min_size=1, max_size=4)
WIDTHS = st.sampled_from([about._TINY, (40, 24), (8, 8)])


def made(lengths: list[tuple[int, int]], dtype: torch.dtype = torch.float32, **others: Any) -> dict[str, Any]:
    return about.make(CPU, dtype, lengths, **others)


def span(inputs: dict[str, Any], name: str, sequence: int) -> slice:
    first, end = inputs[ROWS[name]].tolist()[sequence : sequence + 2]
    return slice(first, end)


def starts(queries: int, keys: int) -> dict[str, Tensor]:
    counts = {"query_starts": queries, "key_starts": keys}
    return {name: torch.tensor([0, count], dtype=torch.int32) for name, count in counts.items()}


def alone(inputs: dict[str, Any], sequence: int) -> dict[str, Any]:
    """Return the inputs of one sequence: copies, which lie elsewhere in memory."""
    parts: dict[str, Any] = {name: inputs[name][span(inputs, name, sequence)].clone() for name in ROWS}
    queries, keys = len(parts["query"]), len(parts["key"])
    numbers = {**starts(queries, keys), "scale": inputs["scale"], "max_queries": queries}
    return {**parts, **numbers}


@settings(max_examples=8)
@given(lengths=LENGTHS, widths=WIDTHS, heads=st.integers(1, 3), dtype=st.sampled_from([torch.float32, torch.float16]))
def test_a_sequence_does_not_depend_on_those_beside_it(
    lengths: list[tuple[int, int]], widths: tuple[int, int], heads: int, dtype: torch.dtype
) -> None:
    inputs = made(lengths, dtype, heads=heads, widths=widths)
    for module in MODULES.values():
        together = module.mla_prefill(**inputs)
        for sequence in range(len(lengths)):
            own = alone(inputs, sequence)
            assert torch.equal(module.mla_prefill(**own), together[span(inputs, "query", sequence)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")  # of the interpreter, which computes with NaN
@BOTH
@pytest.mark.parametrize("sequence", [0, 1, 2])
def test_what_is_not_a_number_stays_in_its_sequence(module: ModuleType, sequence: int) -> None:
    lengths = [(30, 3), (0, 5), (33, 34)]
    inputs = made(lengths)
    before = module.mla_prefill(**inputs)
    for name in ROWS:
        inputs[name][span(inputs, name, sequence)] = float("nan")
    after = module.mla_prefill(**inputs)
    own = span(inputs, "query", sequence)
    assert bool(after[own].isnan().all())
    for others in (slice(0, own.start), slice(own.stop, None)):
        assert torch.equal(after[others], before[others])


def chunks(inputs: dict[str, Any], cuts: list[int]) -> list[dict[str, Any]]:
    """Cut the one sequence of the inputs into prefills that follow each other."""
    queries = len(inputs["query"])
    cached = int(inputs["key_starts"][1]) - queries
    found = []
    for first, end in zip([0, *cuts], [*cuts, queries], strict=True):
        rows = {"query": inputs["query"][first:end], "max_queries": end - first}
        found.append({**inputs, **starts(end - first, cached + end), **rows})
    return found


@settings(max_examples=8)
@given(
    cached=st.integers(0, 70),
    queries=st.integers(2, 70),
    cuts=st.lists(st.integers(1, 69), max_size=2, unique=True),
    dtype=st.sampled_from([torch.float32, torch.float16]),
)
def test_a_prefill_in_chunks_gives_what_a_whole_one_does(
    cached: int, queries: int, cuts: list[int], dtype: torch.dtype
) -> None:
    """Keys and values of what is to come lie behind a chunk's, as those of nobody do."""
    inputs = made([(cached, queries)], dtype)
    for module in MODULES.values():
        whole = module.mla_prefill(**inputs)
        parts = [module.mla_prefill(**chunk) for chunk in chunks(inputs, sorted(cut for cut in cuts if cut < queries))]
        assert relative_error((torch.cat(parts),), (whole,)) <= about.tolerance(dtype)


@BOTH
@pytest.mark.parametrize("at", [0, 1, 31, 32, 33, 47])
def test_a_query_sees_its_own_place_and_no_later_one(module: ModuleType, at: int) -> None:
    inputs = made([(9, 48)])
    before = module.mla_prefill(**inputs)
    inputs["value"][9 + at] += 1.0
    after = module.mla_prefill(**inputs)
    is_changed = (after != before).any(dim=-1).all(dim=-1)
    assert is_changed.tolist() == [row >= at for row in range(48)]


@BOTH
def test_the_first_query_of_no_prefix_gets_its_own_value(module: ModuleType) -> None:
    inputs = made([(0, 3), (0, 1)])
    got = module.mla_prefill(**inputs)
    assert torch.equal(got[[0, 3]], inputs["value"][[0, 3]])


@BOTH
def test_the_result_is_new_and_contiguous_and_what_is_read_stays(module: ModuleType) -> None:
    inputs = about._strided(made([(3, 20), (0, 2)], torch.float16))
    before = {name: value.clone() for name, value in inputs.items() if isinstance(value, Tensor)}
    got = module.mla_prefill(**inputs)
    assert got.is_contiguous() and got.dtype == torch.float16 and got.shape == (22, 2, 16)
    for name, value in before.items():
        assert torch.equal(inputs[name].nan_to_num(), value.nan_to_num()), name


@pytest.mark.parametrize("programs", [1, 4, 7])
def test_the_order_of_the_programs_changes_nothing(programs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of one head, of two with one left over, and of more than there are."""
    inputs = made([(0, 40), (5, 3)], heads=3)
    usual = kernel.mla_prefill(**inputs)
    monkeypatch.setattr(kernel, "_PROGRAMS", programs)
    assert torch.equal(kernel.mla_prefill(**inputs), usual)


def test_every_configuration_gives_the_same() -> None:
    inputs = made([(20, 50), (0, 3)], torch.float16, heads=1)
    wanted = about.oracle(inputs)
    found = kernel.candidates(16, 192, 128, 2)
    assert kernel.default(16, 192, 128, 2) in found
    for queries, keys in sorted({(config["QUERIES"], config["KEYS"]) for config in found}):
        got = kernel.mla_prefill(**inputs, config={"QUERIES": queries, "KEYS": keys, "num_warps": 4})
        assert relative_error((got,), wanted) <= about.tolerance(torch.float16), (queries, keys)


def test_many_scores_go_through_torch_and_come_out_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "_MOST_SCORES", 0)
    for dtype in (torch.float32, torch.float16):
        for case in about.cases(CPU, dtype):
            got = about.run(twin, case.inputs)
            assert relative_error(got, about.oracle(case.inputs)) <= about.tolerance(dtype), case.name


def test_the_twin_never_makes_more_scores_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def watched(hidden: Tensor, query: Tensor, key: Tensor, *, alpha: float) -> Tensor:
        sizes.append(query.shape[0] * hidden.numel())
        return original(hidden, query, key, alpha=alpha)

    original = torch.baddbmm
    monkeypatch.setattr(torch, "baddbmm", watched)
    for queries in (255, 256, 257):
        twin.mla_prefill(**made([(0, queries)]))
    assert sizes == [2 * 255**2, 2 * 256**2]
    assert max(sizes) <= twin._MOST_SCORES


@pytest.mark.parametrize("most", [0, twin._MOST_SCORES])
def test_gradients_flow_through_the_twin(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "_MOST_SCORES", most)
    inputs = made([(2, 6), (0, 3)])
    exact = [inputs[name].nan_to_num().double().requires_grad_() for name in ROWS]
    given_ = [inputs[name].nan_to_num().requires_grad_() for name in ROWS]
    wanted = torch.autograd.grad(about.oracle({**inputs, **dict(zip(ROWS, exact, strict=True))})[0].sin().sum(), exact)
    found = twin.mla_prefill(**{**inputs, **dict(zip(ROWS, given_, strict=True))})
    for mine, right in zip(torch.autograd.grad(found.sin().sum(), given_), wanted, strict=True):
        torch.testing.assert_close(mine, right.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lengths", [[(0, 20)] * 2, [(9, 20)] * 2], ids=["whole", "behind a prefix"])
def test_the_peer_that_runs_here_does_the_same_work(lengths: list[tuple[int, int]]) -> None:
    inputs = made(lengths)
    inputs.update({name: inputs[name][: inputs["key_starts"][-1]] for name in ("key", "value")})
    got = about.peers()["SDPA, padded values"](inputs)
    assert isinstance(got, Tensor)
    rows = got[..., :16].transpose(1, 2).flatten(0, 1)
    assert relative_error((rows,), about.oracle(inputs)) <= about.tolerance(torch.float32)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("query", torch.zeros(2, 8, 2).transpose(1, 2), "columns side by side, got steps of 2"),
        ("key", torch.zeros(2, 8, 2).transpose(1, 2), "expected keys"),
        ("key", torch.zeros(2, 2, 9), "multiple of 16 bytes"),
        ("value", torch.zeros(2, 2, 9)[..., :8], "expected values"),
    ],
)
def test_what_the_device_cannot_address_is_refused(name: str, wrong: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel.mla_prefill(**{**made([(0, 2)], widths=(8, 8)), name: wrong})
