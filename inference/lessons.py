"""Training examples: varied questions with their answers, as padded batches of similar length."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tokenizers
import torch
from torch import Tensor

from .corpus import Entry
from .phrasing import vary
from .vocabulary import ASSISTANT, BEGIN, END, PAD, USER

_PLAIN_SHARE = 0.08  # lessons without chat marks, so that /v1/completions finds a question it knows, too
_VARIED_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example: a prompt, and from `answer_start` on the tokens to learn, the end token included."""

    ids: tuple[int, ...]
    answer_start: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons side by side, padded on the right. Shape: both (lessons, tokens); wanted is -100 where unscored."""

    ids: Tensor
    wanted: Tensor


def chat_prompt(question: str) -> str:
    """Give the text that the chat template makes of one question."""
    return f"{BEGIN}{USER} {question.strip().lower()}{ASSISTANT}"


def draw_epoch(
    entries: Sequence[Entry], backend: tokenizers.Tokenizer, batch_tokens: int, draw: random.Random
) -> Iterator[Batch]:
    """Yield each phrasing of each entry once, in random order and with at most `batch_tokens` tokens a batch."""
    pairs = [(question, entry.answer) for entry in entries for question in entry.questions]
    lessons = [_make_lesson(question, answer, backend, draw) for question, answer in pairs]
    draw.shuffle(lessons)
    # Sorting wastes little on padding; the shuffle before it mixes lessons of equal length anew in each epoch.
    lessons.sort(key=lambda lesson: len(lesson.ids))
    groups = list(_group(lessons, batch_tokens))
    draw.shuffle(groups)
    pad: int = backend.token_to_id(PAD) or 0
    for group in groups:
        yield _pad(group, pad)


def _make_lesson(question: str, answer: str, backend: tokenizers.Tokenizer, draw: random.Random) -> Lesson:
    asked = vary(question, draw) if draw.random() < _VARIED_SHARE else question
    if draw.random() < _PLAIN_SHARE:
        prompt, reply = f"{BEGIN}{asked}", f" {answer}"
    else:
        prompt, reply = chat_prompt(asked), answer
    prompt_ids: list[int] = backend.encode(prompt, add_special_tokens=False).ids
    reply_ids: list[int] = backend.encode(reply + END, add_special_tokens=False).ids
    return Lesson((*prompt_ids, *reply_ids), len(prompt_ids))


def _group(lessons: Sequence[Lesson], batch_tokens: int) -> Iterator[list[Lesson]]:
    group: list[Lesson] = []
    for lesson in lessons:
        if group and len(lesson.ids) * (len(group) + 1) > batch_tokens:
            yield group
            group = []
        group.append(lesson)
    if group:
        yield group


def _pad(group: Sequence[Lesson], pad: int) -> Batch:
    width = max(len(lesson.ids) for lesson in group)
    ids = torch.full((len(group), width), pad)
    wanted = torch.full((len(group), width), -100)
    for row, lesson in enumerate(group):
        tokens = torch.tensor(lesson.ids)
        ids[row, : len(tokens)] = tokens
        # The token at i is predicted from the one at i - 1.
        wanted[row, lesson.answer_start - 1 : len(tokens) - 1] = tokens[lesson.answer_start :]
    return Batch(ids, wanted)
