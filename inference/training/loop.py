"""The training loop of the demo models: next-token loss on the answers, AdamW, half a cosine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tokenizers
import torch
from torch import Tensor
from torch.nn import functional

from ..config import parse_config
from ..model import Deepseek
from .balance import ExpertBalance
from .corpus import Entry
from .lessons import Batch, Lessons
from .recipe import Recipe, checkpoint_config
from .vocabulary import train_tokenizer

_LOSS_POINTS = 60


@dataclass(frozen=True, slots=True)
class LossPoint:
    """Means over the steps since the point before: loss per answer token (nats), busiest expert's share of the mean."""

    step: int
    loss: float
    busiest_expert_load: float


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model with its tokenizer, its config.json and the way there."""

    model: Deepseek
    backend: tokenizers.Tokenizer
    config: dict[str, Any]
    points: tuple[LossPoint, ...]

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return self.points[-1].step


def train(
    entries: Sequence[Entry],
    recipe: Recipe,
    seed: int,
    *,
    limit_s: float | None = None,
    report: Callable[[LossPoint], None] = lambda point: None,
) -> Trained:
    """Train a model from nothing. Without `limit_s` the outcome depends on the other arguments and the machine alone.

    Cost: `recipe.steps` passes over at most `recipe.batch_tokens` tokens.
    """
    backend = train_tokenizer(entries, recipe.vocab_size)
    config = checkpoint_config(recipe, backend)
    model = Deepseek(parse_config(config))
    model.init_weights(seed, recipe.init_std)
    schedule = _Schedule(recipe, limit_s)
    batches = _endless_batches(Lessons(entries, backend, seed), recipe.batch_tokens)
    points = tuple(_optimise(model, batches, schedule, report))
    with torch.no_grad():
        model.model.norm.weight.mul_(recipe.sharpness)
    return Trained(model, backend, config, points)


class _Schedule:
    """How far a run is, by steps or by the time limit, whichever is further; and the rates that go with it."""

    def __init__(self, recipe: Recipe, limit_s: float | None) -> None:
        self.recipe = recipe
        self.step = 0
        self.progress = 0.0
        self._limit_s = limit_s
        self._started = time.monotonic()

    @property
    def learning_rate(self) -> float:
        """Rise in a straight line, then fall along half a cosine to a fiftieth."""
        warm_up = min(1.0, (self.step + 1) / self.recipe.warm_up_steps)
        return self.recipe.peak_rate * warm_up * (0.51 + 0.49 * math.cos(math.pi * self.progress))

    @property
    def balance_rate(self) -> float:
        """The biases of the gates come to rest with the weights."""
        return self.recipe.balance_rate * (1 - self.progress)

    def advance(self) -> None:
        """Count a step."""
        self.step += 1
        self.progress = self.step / self.recipe.steps
        if self._limit_s is not None:
            self.progress = max(self.progress, (time.monotonic() - self._started) / self._limit_s)
        self.progress = min(self.progress, 1.0)


def _optimise(
    model: Deepseek, batches: Iterator[Batch], schedule: _Schedule, report: Callable[[LossPoint], None]
) -> Iterator[LossPoint]:
    """Run the schedule to its end and yield the loss curve."""
    optimiser = _make_optimiser(model, schedule.recipe)
    balance = ExpertBalance(model)
    losses: list[float] = []
    loads: list[float] = []
    while schedule.progress < 1:
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate
        losses.append(_learn(model, optimiser, next(batches)))
        loads.append(balance.step(schedule.balance_rate))
        schedule.advance()
        if len(losses) * _LOSS_POINTS >= schedule.recipe.steps or schedule.progress >= 1:
            point = LossPoint(schedule.step, round(_mean(losses), 4), round(_mean(loads), 3))
            losses, loads = [], []
            report(point)
            yield point


def _make_optimiser(model: Deepseek, recipe: Recipe) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    scales = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": scales, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98), fused=True)


def _learn(model: Deepseek, optimiser: torch.optim.Optimizer, batch: Batch) -> float:
    """Make one step; give the mean loss over the answer tokens."""
    is_scored = batch.wanted >= 0
    # Logits are computed for answer tokens only.
    hidden: Tensor = model.model(batch.ids, None)
    loss = functional.cross_entropy(model.lm_head(hidden[is_scored]), batch.wanted[is_scored])
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss.item()


def _endless_batches(lessons: Lessons, batch_tokens: int) -> Iterator[Batch]:
    while True:
        yield from lessons.draw_epoch(batch_tokens)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
