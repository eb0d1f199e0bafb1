"""Training examples: varied questions with their answers, as padded batches of similar length."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tokenizers
import torch
from torch import Tensor

from .corpus import Entry
from .phrasing import vary
from .vocabulary import ASSISTANT, BEGIN, END, PAD, USER

# Kinds of lessons and their shares; the rest are whole answers to chat questions.
_CHOICE_SHARE = 0.68
_CONTINUED_SHARE = 0.14
_PLAIN_SHARE = 0.05

_VARIED_SHARE = 0.8
_CHOICE_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example: a prompt with its answer or the beginning of it; what comes before `scored_from` is not learned."""

    ids: tuple[int, ...]
    scored_from: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons side by side, padded on the right. Shape: both (lessons, tokens); wanted is -100 where unscored."""

    ids: Tensor
    wanted: Tensor


class Lessons:
    """The endless lessons of one corpus. Held-out phrasings never occur, not even as a variation of another one."""

    def __init__(self, entries: Sequence[Entry], backend: tokenizers.Tokenizer, seed: int) -> None:
        self._pairs = [(question, entry.answer) for entry in entries for question in entry.questions]
        self._held_out = {_bare(text) for entry in entries for text in entry.held_out}
        self._backend = backend
        self._draw = random.Random(seed)
        self._pad: int = backend.token_to_id(PAD) or 0
        self._settled = _settled_lengths([self._encode(f"{entry.answer}{END}") for entry in entries])

    def draw_epoch(self, batch_tokens: int) -> Iterator[Batch]:
        """Yield each question once, in random order and with at most `batch_tokens` tokens a batch."""
        lessons = [self._make_lesson(question, answer) for question, answer in self._pairs]
        self._draw.shuffle(lessons)
        # Sorting wastes little on padding; the shuffle before it mixes lessons of equal length anew in each epoch.
        lessons.sort(key=lambda lesson: len(lesson.ids))
        groups = list(_group(lessons, batch_tokens))
        self._draw.shuffle(groups)
        for group in groups:
            yield _pad(group, self._pad)

    def _make_lesson(self, question: str, answer: str) -> Lesson:
        kind = self._draw.random()
        reply_ids = self._encode(f"{answer}{END}")
        settled = self._settled[reply_ids]
        if kind < _CHOICE_SHARE:
            # Which answer to give is decided in its first tokens: the hard part, and cheap without the rest.
            prompt_ids = self._encode(chat_prompt(self._vary(question)))
            return Lesson((*prompt_ids, *reply_ids[: settled + _CHOICE_MARGIN]), len(prompt_ids))
        if kind < _CHOICE_SHARE + _CONTINUED_SHARE:
            return self._continue_reply(reply_ids)
        if kind < _CHOICE_SHARE + _CONTINUED_SHARE + _PLAIN_SHARE:
            # Without chat marks, so that /v1/completions answers a question, too.
            prompt_ids = self._encode(f"{BEGIN}{self._vary(question)}")
            return Lesson((*prompt_ids, *self._encode(f" {answer}{END}")), len(prompt_ids))
        prompt_ids = self._encode(chat_prompt(self._vary(question)))
        return Lesson((*prompt_ids, *reply_ids), len(prompt_ids))

    def _continue_reply(self, reply_ids: tuple[int, ...]) -> Lesson:
        """Teach to finish an answer that has begun, although something else was asked.

        An unexpected question then gets a whole answer at least, and not a mixture of several. Scored is what
        comes after the answer has left the right one: before, it would be the wrong choice.
        """
        (first, right), (second, also_right) = (self._draw.choice(self._pairs) for _ in range(2))
        asked = self._vary(first)
        left = _shared_length(self._encode(right), reply_ids)
        if self._draw.random() < 0.5:
            words = f"{asked} {self._vary(second)}".split()
            asked = " ".join(self._draw.sample(words, k=self._draw.randint(1, len(words))))
            left = max(left, _shared_length(self._encode(also_right), reply_ids))
        prompt_ids = self._encode(chat_prompt(asked))
        return Lesson((*prompt_ids, *reply_ids), len(prompt_ids) + min(left + 1, len(reply_ids) - 1))

    def _vary(self, question: str) -> str:
        varied = vary(question, self._draw) if self._draw.random() < _VARIED_SHARE else question
        return question if _bare(varied) in self._held_out else varied

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._backend.encode(text, add_special_tokens=False).ids)


def chat_prompt(question: str) -> str:
    """Give the text that the chat template makes of one question."""
    return f"{BEGIN}{USER} {question.strip().lower()}{ASSISTANT}"


def _settled_lengths(replies: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """Give for each reply the number of tokens after which no other reply is possible."""
    ordered = sorted(set(replies))
    shared = [0, *(_shared_length(a, b) for a, b in itertools.pairwise(ordered)), 0]
    return {reply: min(len(reply) - 1, max(shared[at], shared[at + 1]) + 1) for at, reply in enumerate(ordered)}


def _shared_length(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    pairs = zip(first, second, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


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
        wanted[row, lesson.scored_from - 1 : len(tokens) - 1] = tokens[lesson.scored_from :]
    return Batch(ids, wanted)
