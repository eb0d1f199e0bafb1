"""Token choice: the generator, the distribution, the cut."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headgate.inference.kernels.sample_torch import philox, random64
from headgate.inference.ops import Ops
from headgate.inference.sampler import Sampling, choose_token

OPS = Ops()
LOGITS = torch.tensor([2.0, -1.0, 0.5, 0.0, 2.0, -3.0, 1.0, 0.25])
SEEDS = st.integers(-(2**63), 2**63 - 1)
POSITIONS = st.integers(0, 2**40)
LOGIT_LISTS = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        # Source: the known answers published with Random123.
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_generator_gives_the_published_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert philox(counter, key) == expected


def test_numbers_differ_between_neighbours() -> None:
    grid = {random64(seed, position) for seed in range(-50, 50) for position in range(100)}
    high = {random64(seed << 32, position << 32) for seed in range(1, 50) for position in range(1, 100)}
    assert len(grid | high) == 100 * 100 + 49 * 99


@given(seed=SEEDS, positions=st.permutations(range(20)))
def test_choice_does_not_depend_on_earlier_draws(seed: int, positions: list[int]) -> None:
    sampling = Sampling(seed=seed)
    in_order = {position: choose_token(OPS, LOGITS, sampling, position) for position in range(20)}
    assert {position: choose_token(OPS, LOGITS, sampling, position) for position in positions} == in_order


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("axis", ["seed", "position"])
def test_draws_follow_the_softmax(temperature: float, axis: str) -> None:
    draws = 3_000
    expected = (draws * (LOGITS.double() / temperature).softmax(dim=0)).tolist()
    drawn = (
        choose_token(OPS, LOGITS, Sampling(temperature, seed=seed), position)
        for seed, position in ((at, 3) if axis == "seed" else (3, at) for at in range(draws))
    )
    counts = Counter(drawn)
    chi_square = sum((counts[token] - wanted) ** 2 / wanted for token, wanted in enumerate(expected))
    # The 99.9 % quantile for 7 degrees of freedom; the draws are fixed, so this either holds or never does.
    assert chi_square < 24.3


@given(logits=LOGIT_LISTS, position=POSITIONS)
def test_temperature_zero_takes_the_first_of_the_likeliest(logits: list[float], position: int) -> None:
    chosen = choose_token(OPS, torch.tensor(logits), Sampling(temperature=0.0), position)
    assert chosen == logits.index(max(logits))


@given(logits=LOGIT_LISTS, top_p=st.floats(0, 1), seed=SEEDS)
def test_choice_is_in_the_smallest_likeliest_set(logits: list[float], top_p: float, seed: int) -> None:
    shares = [math.exp(logit - max(logits)) for logit in logits]
    shares = [share / sum(shares) for share in shares]
    # By logit: shares of unequal logits may round to the same number.
    ranked = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    before = 0.0
    allowed: set[int] = set()
    for token in ranked:
        # A hair of slack where rounding decides.
        if before < top_p + 1e-9 or not allowed:
            allowed.add(token)
        before += shares[token]
    assert choose_token(OPS, torch.tensor(logits), Sampling(1.0, top_p, seed), 5) in allowed


def test_top_p_keeps_every_token_it_should() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    for top_p, expected in ((0.0, {0}), (0.45, {0}), (0.7, {0, 1}), (0.9, {0, 1, 2}), (1.0, {0, 1, 2, 3})):
        drawn = {choose_token(OPS, logits, Sampling(1.0, top_p, seed), 0) for seed in range(400)}
        assert drawn == expected


def test_a_temperature_near_zero_is_greedy_not_an_overflow() -> None:
    assert {choose_token(OPS, LOGITS[1:], Sampling(1e-300, seed=seed), 0) for seed in range(50)} == {3}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_refused(value: float, temperature: float) -> None:
    with pytest.raises(FloatingPointError, match="finite logits at position 9"):
        choose_token(OPS, torch.tensor([0.0, value]), Sampling(temperature), 9)
