"""One generation: how it ends, and that it depends on its request alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.inference.config import read_config
from headgate.inference.generate import FinishReason, GenerationRequest, Step, generate
from headgate.inference.model import Deepseek
from headgate.inference.sample_checkpoint import write_sample_checkpoint
from headgate.inference.sampler import Sampling
from headgate.inference.tokenizer import Tokenizer
from headgate.inference.weights import load_model

REQUEST = GenerationRequest(prompt_ids=(1, 2, 3), max_tokens=48, sampling=Sampling(seed=4))


def _run(model: Deepseek, tokenizer: Tokenizer, request: GenerationRequest) -> list[Step]:
    return list(generate(model, tokenizer, request, lambda: False))


def _text(steps: list[Step]) -> str:
    return "".join(step.text for step in steps)


@pytest.fixture(scope="module")
def plain_text(model: Deepseek, tokenizer: Tokenizer) -> str:
    return _text(_run(model, tokenizer, REQUEST))


def test_same_request_gives_the_same_text_and_another_seed_another(
    model: Deepseek, tokenizer: Tokenizer, plain_text: str
) -> None:
    other = dataclasses.replace(REQUEST, sampling=Sampling(seed=5))
    assert _text(_run(model, tokenizer, other)) != plain_text
    assert _text(_run(model, tokenizer, REQUEST)) == plain_text


def test_each_token_is_one_step_and_the_last_carries_the_reason(model: Deepseek, tokenizer: Tokenizer) -> None:
    reasons = [step.finish_reason for step in _run(model, tokenizer, REQUEST)]
    assert reasons == [None] * 47 + [FinishReason.LENGTH]


@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_stop_strings_cut_the_text_wherever_they_fall(
    model: Deepseek, tokenizer: Tokenizer, plain_text: str, data: st.DataObject
) -> None:
    begin = data.draw(st.integers(0, len(plain_text) - 1))
    stop = plain_text[begin : data.draw(st.integers(begin + 1, min(len(plain_text), begin + 6)))]
    other = data.draw(st.text("xyz", min_size=1, max_size=3))
    steps = _run(model, tokenizer, dataclasses.replace(REQUEST, stops=(stop, other)))
    text = _text(steps)
    assert steps[-1].finish_reason == FinishReason.STOP
    assert stop not in text and other not in text
    assert plain_text.startswith(text + stop) or plain_text.startswith(text + other)


def test_end_token_ends_the_text_and_is_not_shown(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_sample_checkpoint(tmp_path, has_end=False)
    config = read_config(tmp_path)
    free = _run(load_model(tmp_path, config), tokenizer, REQUEST)
    # Whatever byte comes first is declared the end.
    first = next(step.text for step in free if step.text.isascii() and step.text)
    end = tokenizer.backend.encode(first).ids[0]
    model = load_model(tmp_path, dataclasses.replace(config, eos_token_ids=(end,)))
    steps = _run(model, tokenizer, REQUEST)
    assert steps[-1].finish_reason == FinishReason.STOP
    assert len(steps) <= len(free)
    assert first not in _text(steps)


@given(stop_after=st.integers(0, 10))
@settings(deadline=None, max_examples=10)
def test_cancelled_generation_stops_within_one_token(model: Deepseek, tokenizer: Tokenizer, stop_after: int) -> None:
    steps: list[Step] = []
    for step in generate(model, tokenizer, REQUEST, lambda: len(steps) >= stop_after):
        steps.append(step)
    assert len(steps) == stop_after
