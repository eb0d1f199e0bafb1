"""How well a model gives back the answers of its corpus."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..cache import LatentCache
from ..model import Deepseek
from ..tokenizer import Tokenizer
from .corpus import Entry

GOOD_OVERLAP = 0.8

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Recall:
    """How many of the questions got an answer with an overlap of at least GOOD_OVERLAP."""

    questions: int
    good: int
    mean_overlap: float


def measure_recall(model: Deepseek, tokenizer: Tokenizer, entries: Sequence[Entry]) -> dict[str, Recall]:
    """Ask every question of the corpus, those trained on and those held out."""
    asked = {
        "trained": [(question, entry.answer) for entry in entries for question in entry.questions],
        "held_out": [(question, entry.answer) for entry in entries for question in entry.held_out],
    }
    return {kind: _ask(model, tokenizer, pairs) for kind, pairs in asked.items() if pairs}


def answer_all(model: Deepseek, tokenizer: Tokenizer, questions: Sequence[str], max_tokens: int = 128) -> list[str]:
    """Give the most likely answer to each question, questions of equal length side by side."""
    prompts = [tokenizer.encode_chat([{"role": "user", "content": question}]) for question in questions]
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_length[len(prompt)].append(index)
    answers = [""] * len(questions)
    for indices in by_length.values():
        for start in range(0, len(indices), _BATCH):
            part = indices[start : start + _BATCH]
            for index, ids in zip(part, _decode_batch(model, [prompts[i] for i in part], max_tokens), strict=True):
                answers[index] = tokenizer.decode(ids)
    return answers


def overlap(answer: str, expected: str) -> float:
    """Give the F1 score of the words two texts share: 1 for the same words, 0 for none in common."""
    got, wanted = (Counter(re.findall(r"[a-z0-9]+", text.lower())) for text in (answer, expected))
    shared = (got & wanted).total()
    return 2 * shared / (got.total() + wanted.total()) if shared else 0.0


def _ask(model: Deepseek, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]) -> Recall:
    answers = answer_all(model, tokenizer, [question for question, _ in pairs])
    scores = [overlap(answer, wanted) for answer, (_, wanted) in zip(answers, pairs, strict=True)]
    good = sum(score >= GOOD_OVERLAP for score in scores)
    return Recall(len(scores), good, round(sum(scores) / len(scores), 4))


def _decode_batch(model: Deepseek, prompts: list[list[int]], max_tokens: int) -> list[list[int]]:
    """Decode greedily until each row has ended; its end token is left out."""
    cache = LatentCache(model.config, len(prompts[0]) + max_tokens, len(prompts))
    ids = torch.tensor(prompts).flatten()
    rows: list[list[int]] = [[] for _ in prompts]
    is_open = [True] * len(prompts)
    with torch.inference_mode():
        for _ in range(max_tokens):
            batch = cache.extend([len(ids) // len(prompts)] * len(prompts))
            ids = model(ids, batch, is_last_only=True).argmax(dim=-1)
            for index, token in enumerate(ids.tolist()):
                is_open[index] = is_open[index] and token not in model.config.eos_token_ids
                if is_open[index]:
                    rows[index].append(token)
            if not any(is_open):
                break
    return rows
