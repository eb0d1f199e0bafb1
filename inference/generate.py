"""One generation: prefill the prompt, then one token at a time until something ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import torch

from .cache import LatentCache
from .model import Deepseek
from .sampler import Sampling, choose_token
from .stop_strings import StopMatcher
from .tokenizer import Tokenizer


class FinishReason(StrEnum):
    """Why a generation ended, in the API's words."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What to generate. `max_tokens` fits the model's context together with the prompt.

    `replay` are the first tokens as another run drew them.
    """

    prompt_ids: tuple[int, ...]
    max_tokens: int
    sampling: Sampling
    stops: tuple[str, ...] = ()
    replay: tuple[int, ...] = ()


class ReplayDiverged(Exception):
    """Another run drew a token that is not drawn here: what follows would not belong to it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one token brought: text that is safe to show (often none), and at the end the reason."""

    token: int
    text: str
    finish_reason: FinishReason | None = None


def generate(
    model: Deepseek, tokenizer: Tokenizer, request: GenerationRequest, is_cancelled: Callable[[], bool]
) -> Iterator[Step]:
    """Yield one step for each token; the last one carries a reason, unless the caller cancelled.

    Replayed tokens take the same way as new ones, row by row and drawn again, for two reasons: many rows at once round
    differently, and a token that is drawn otherwise here is noticed before anything follows it.
    Cancel: looked at before each forward pass, so at most one token is computed in vain.
    Raises: ReplayDiverged.
    """
    cache = LatentCache(model.config, len(request.prompt_ids) + request.max_tokens)
    texts, matcher = tokenizer.stream(), StopMatcher(request.stops)
    ids = request.prompt_ids
    for count in range(1, request.max_tokens + 1):
        if is_cancelled():
            return
        token = _next_token(model, cache, ids, request.sampling)
        if count <= len(request.replay):
            _compare(token, request.replay[count - 1], count)
        ids = (token,)
        is_end = token in model.config.eos_token_ids
        text = "" if is_end else matcher.push(texts.push(token))
        reason = _finish_reason(is_end or matcher.is_stopped, is_last=count == request.max_tokens)
        if reason is None:
            yield Step(token, text)
            continue
        # The pieces never completed are text like any other: a stop string may end in them.
        text += matcher.push(texts.finish()) + matcher.finish()
        yield Step(token, text, FinishReason.STOP if matcher.is_stopped else reason)
        return


def _next_token(model: Deepseek, cache: LatentCache, ids: tuple[int, ...], sampling: Sampling) -> int:
    """Run the model on the ids that follow the cache and draw the token after them."""
    with torch.inference_mode():
        logits = model(torch.tensor(ids), cache.extend([len(ids)]), is_last_only=True)
        return choose_token(model.ops, logits[0], sampling, position=cache.lengths[0])


def _compare(drawn: int, replayed: int, count: int) -> None:
    if drawn != replayed:
        raise ReplayDiverged(f"token {count}: expected {replayed} as delivered, drew {drawn}")


def _finish_reason(is_stopped: bool, is_last: bool) -> FinishReason | None:
    if is_stopped:
        return FinishReason.STOP
    return FinishReason.LENGTH if is_last else None
